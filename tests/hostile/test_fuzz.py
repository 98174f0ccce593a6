"""Damaged inputs by the hundred: each ends in a result, or in exit code 2 with a cause."""

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import fuzz, fuzz_case, fuzz_inputs, fuzz_run, fuzz_seeds
from benchmarks.mutations import json_bytes

INPUTS = 120

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["1,2", '{"a": 1}', "[1, 2]", "CSV", "JSON", "BASE64", "Integral", "Enabled", "a"])
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=15,
)
PARTS = st.fixed_dictionaries(
    {},
    optional={
        "data": st.text(max_size=30) | JSON.map(lambda value: json_bytes(value).decode()) | JSON,
        "encoding": st.sampled_from(["CSV", "JSON", "BASE64", "", "XML"]) | SCALARS,
        "observedContentType": st.sampled_from(["text/csv", "application/json", ""]) | SCALARS,
    },
)
CAPTURES = st.fixed_dictionaries(
    {
        "captureData": st.fixed_dictionaries(
            {}, optional={"endpointInput": PARTS | JSON, "endpointOutput": PARTS | JSON}
        )
    },
    optional={
        "eventMetadata": st.fixed_dictionaries({}, optional={"inferenceTime": SCALARS}) | JSON,
        "groundTruthData": PARTS | JSON,
    },
)
DOCUMENTS = st.fixed_dictionaries(
    {
        "features": st.lists(
            st.fixed_dictionaries(
                {
                    "name": st.sampled_from(["age", "city", "x"]),
                    "inferred_type": st.sampled_from(["Integral", "Fractional", "String", "Unknown"]),
                },
                optional={
                    "completeness": SCALARS,
                    "num_constraints": st.dictionaries(st.just("is_non_negative"), st.booleans()) | JSON,
                    "string_constraints": st.dictionaries(st.just("domains"), st.lists(st.text())) | JSON,
                    "numerical_statistics": JSON,
                    "string_statistics": JSON,
                    "data_types": st.dictionaries(st.sampled_from(["Integral", "String"]), st.integers(0)),
                },
            ),
            max_size=4,
        )
    },
    optional={"monitoring_config": JSON, "dataset": JSON, "version": SCALARS},
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    prepared = tmp_path_factory.mktemp("fuzz")
    before = dict(os.environ)
    with warnings.catch_warnings():
        fuzz_run.prepare(prepared, limit_memory=False)
    yield prepared
    os.environ.update(before)


def assert_no_problem(folder: Path, case: fuzz_case.Case) -> None:
    verdict = fuzz_run.run_case(case, folder / "scratch")
    assert not verdict.problem, f"{verdict.message}\n{verdict.log}"


@pytest.mark.parametrize("reader", [reader for reader in fuzz_inputs.READERS if reader != "parquet"])
def test_damaged_inputs(folder: Path, reader: str) -> None:
    for number in range(INPUTS):
        verdict = fuzz_run.run_case(fuzz_inputs.make_case(reader, number), folder / "scratch")
        assert not verdict.problem, f"{reader} {number}: {verdict.message}\n{verdict.log}"


def test_damaged_parquet() -> None:
    """Damaged Parquet is read in a process of its own, in case it takes the process with it."""
    tally = fuzz.fuzz("parquet", 0, INPUTS, processes=1)
    assert tally.findings == []


def inputs() -> dict[str, str]:
    cases = {reader: [fuzz_inputs.make_case(reader, n) for n in range(9)] for reader in fuzz_inputs.READERS}
    return {reader: sha256(ascii(made).encode()).hexdigest() for reader, made in cases.items()}


def test_inputs_are_the_same_everywhere(folder: Path) -> None:
    """A finding is repeated by the number of its input alone, in another process and at another time."""
    program = (
        "import json, pathlib, sys; from benchmarks import fuzz_run; from hostile import test_fuzz;"
        "fuzz_run.prepare(pathlib.Path(sys.argv[1])); print(json.dumps(test_fuzz.inputs()))"
    )
    other = folder / "other"
    other.mkdir()
    environment = {"PYTHONPATH": f"{fuzz.ROOT}:{fuzz.ROOT / 'tests'}", "PYTHONHASHSEED": "1"}
    run = subprocess.run(
        [sys.executable, "-c", program, str(other)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(run.stdout) == inputs()


@given(rows=st.lists(JSON, min_size=1, max_size=4))
def test_any_json(folder: Path, rows: list[object]) -> None:
    data = b"\n".join(map(json_bytes, rows))
    variables = {"dataset_source": "{folder}/data", "dataset_format": fuzz_case.JSON}
    assert_no_problem(folder, fuzz_case.Case({"data": data}, variables, ("data",)))


@given(
    records=st.lists(CAPTURES, min_size=1, max_size=4),
    dataset_format=st.sampled_from([fuzz_case.CAPTURE, fuzz_case.MERGE]),
    rules=st.sampled_from(["sound", "sagemaker"]),
    windowed=st.booleans(),
)
def test_any_capture(
    folder: Path, records: list[object], dataset_format: str, rules: str, windowed: bool
) -> None:
    data = b"\n".join(map(json_bytes, records))
    variables = {"dataset_source": "{folder}/data", "dataset_format": dataset_format, "rules": rules}
    variables |= fuzz_case.WINDOW if windowed else {}
    assert_no_problem(folder, fuzz_case.Case({"data": data}, variables, ("data",)))


@given(
    document=DOCUMENTS,
    variable=st.sampled_from(["baseline_constraints", "baseline_statistics"]),
    rules=st.sampled_from(["sound", "sagemaker"]),
)
def test_any_document(folder: Path, document: object, variable: str, rules: str) -> None:
    files = {"data.csv": fuzz_seeds.csv_seeds()[0], "document.json": json_bytes(document)}
    variables = {
        "dataset_source": "{folder}/data.csv",
        "dataset_format": fuzz_case.CSV,
        "rules": rules,
        variable: "{folder}/document.json",
    }
    assert_no_problem(folder, fuzz_case.Case(files, variables, ("document.json",), monitors=True))
