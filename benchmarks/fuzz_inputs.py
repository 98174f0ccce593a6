"""Hostile inputs for every reader, each made from its reader and number alone."""

from __future__ import annotations

import base64
import bz2
import functools
import gzip
import io
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.mutations import damage, damage_tree, json_bytes

CSV = '{"csv":{"header":true}}'
HEADERLESS = '{"csv":{"header":false}}'
JSON = '{"json":{"lines":true}}'
CAPTURE = '{"sagemakerCaptureJson":{"captureIndexNames":["endpointInput","endpointOutput"]}}'
MERGE = '{"sagemakerMergeJson":{"captureIndexNames":["endpointOutput"]}}'
WINDOW = {"start_time": "2026-05-06T10:00:00Z", "end_time": "2026-05-06T11:00:00Z"}


@dataclass(frozen=True)
class Case:
    """One run: files by name in the scratch folder, and settings, where ``{folder}`` is that folder.

    `causes` are texts of which a message about a mistake must hold one; `command` is a key of
    `benchmarks.fuzz_run.COMMANDS`.
    """

    files: dict[str, bytes]
    settings: dict[str, str]
    causes: tuple[str, ...]
    monitors: bool = False
    command: str = "monitor-data-quality"


def make_case(reader: str, number: int) -> Case:
    """Return hostile input `number` of a reader; the same in every process and on every machine."""
    return READERS[reader](random.Random(f"{reader} {number}"))


def _dataset(
    generator: random.Random,
    name: str,
    data: bytes,
    dataset_format: str,
    baseline: str = "table",
    **settings: str,
) -> Case:
    """Return a case about a dataset: baseline job or monitoring job, by either set of rules."""
    variables = {"dataset_source": f"{{folder}}/{name}", "dataset_format": dataset_format, **settings}
    variables["rules"] = generator.choice(("sound", "sound", "sagemaker"))
    monitors = generator.random() < 0.5
    if monitors:
        variables |= {
            "baseline_constraints": f"{{folder}}/../{baseline}/constraints.json",
            "baseline_statistics": f"{{folder}}/../{baseline}/statistics.json",
        }
    return Case({name: data}, variables, (name, "dataset_source"), monitors)


def _packed(data: bytes, generator: random.Random, others: tuple[bytes, ...]) -> bytes:
    """Damage text: mostly as it is, sometimes within gzip or bz2, sometimes the archive itself."""
    choice = generator.random()
    if choice < 0.8:
        return damage(data, generator, others)
    pack = functools.partial(gzip.compress, mtime=0)
    if choice < 0.85:
        return pack(damage(data, generator, others))
    return damage(pack(data), generator, [pack(other) for other in others])


def table_rows() -> list[dict[str, Any]]:
    """Return the rows that all small valid inputs hold."""
    return [
        {
            "age": 20 + 3 * row,
            "income": 1000.5 * row - 700,
            "city": ("Oslo", "São Paulo", 'say "hi"', "a,b")[row % 4],
            "flag": row % 2,
            "note": None if row % 5 == 0 else f"note {row}",
        }
        for row in range(14)
    ]


@functools.cache
def csv_seeds() -> tuple[bytes, ...]:
    """Return valid CSV files: quoted, with line breaks, CRLF, with a byte order mark, one column."""

    def cell(value: Any) -> str:
        text = "" if value is None else str(value)
        return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\n') else text

    rows = table_rows()
    lines = [",".join(rows[0])] + [",".join(cell(value) for value in row.values()) for row in rows]
    plain = "\n".join(lines) + "\n"
    return (
        plain.encode(),
        plain.replace("\n", "\r\n").encode(),
        b"\xef\xbb\xbf" + plain.encode(),
        plain.replace("note ", '"first\nsecond"').encode(),
        b"x\n" + b"\n".join(b"%d" % number for number in range(20)),
        b"a,b\n1,\n,2\n0x1F,nan\n-inf,1e5\n007,1.0\n",
    )


def _csv(generator: random.Random) -> Case:
    data = _packed(generator.choice(csv_seeds()), generator, csv_seeds())
    name = generator.choice(("data.csv", "data.csv", "data.csv.gz", "data.csv.bz2"))
    if name.endswith("bz2") and generator.random() < 0.5:
        data = damage(bz2.compress(data), generator)
    return _dataset(generator, name, data, generator.choice((CSV, CSV, HEADERLESS)))


@functools.cache
def json_seeds() -> tuple[bytes, ...]:
    """Return valid JSON datasets: lines, nested lines, an array, an object with one."""
    rows = table_rows()
    nested = [{"id": row["age"], "in": {"v": [row["flag"], row["income"]], "t": row["note"]}} for row in rows]
    times = [{"at": f"2026-05-0{day}T10:00:00Z", "day": f"2026-05-0{day}"} for day in range(1, 9)]
    return (
        *(b"".join(json.dumps(row).encode() + b"\n" for row in part) for part in (rows, nested, times)),
        json.dumps(nested, indent=1).encode(),
        json.dumps({"instances": rows[:5]}).encode(),
        json.dumps(rows[0]).encode(),
    )


def _json(generator: random.Random) -> Case:
    if generator.random() < 0.5:
        tree = damage_tree(
            [table_rows(), [json.loads(json_seeds()[5])] * 4][generator.randrange(2)], generator
        )
        lines = tree if isinstance(tree, list) and generator.random() < 0.7 else [tree]
        data = b"\n".join(json_bytes(line) for line in lines)
        if generator.random() < 0.3:
            data = data.replace(b"\\ud800", b"\xed\xa0\x80")
    else:
        data = _packed(generator.choice(json_seeds()), generator, json_seeds())
    return _dataset(generator, "data.json", data, JSON)


@functools.cache
def parquet_seeds() -> tuple[bytes, ...]:
    """Return valid Parquet files: plain, encoded, nested, decimals and times, with and without checksums."""
    import datetime
    import decimal

    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pylist(table_rows())
    moment = datetime.datetime(2026, 5, 6, 10, tzinfo=datetime.UTC)
    nested = pa.table(
        {
            "when": [moment + datetime.timedelta(hours=n) for n in range(9)],
            "day": [moment.date()] * 9,
            "price": [decimal.Decimal(n) / 4 for n in range(9)],
            "list": [list(range(n % 3)) for n in range(9)],
            "struct": [{"a": n, "b": {"c": str(n)}} for n in range(9)],
            "map": pa.array([[("k", n)] for n in range(9)], pa.map_(pa.string(), pa.int32())),
            "raw": [bytes([n, 255 - n]) for n in range(9)],
            "small": pa.array(range(9), pa.uint8()),
            "nothing": pa.nulls(9),
        }
    )
    options: tuple[dict[str, Any], ...] = (
        {},
        {"compression": "gzip", "use_dictionary": False},
        {"compression": "zstd", "data_page_version": "2.0"},
        {"compression": "none", "write_page_checksum": True, "row_group_size": 4},
        {"compression": "none", "column_encoding": "DELTA_BYTE_ARRAY", "use_dictionary": False},
        {"compression": "none", "store_schema": False, "write_page_index": True},
    )
    seeds = []
    for number, option in enumerate(options):
        for each in (table, nested):
            if "column_encoding" in option:
                each = table.select(["city", "note"])
            sink = io.BytesIO()
            pq.write_table(each, sink, **option)
            seeds.append(sink.getvalue())
            if number == 4:
                break
    return tuple(seeds)


def _parquet(generator: random.Random) -> Case:
    data = damage(generator.choice(parquet_seeds()), generator, parquet_seeds(), near_end=True)
    return _dataset(generator, "data.parquet", data, "parquet")


def capture_record(number: int, kind: str) -> dict[str, Any]:
    """Return a valid capture record with payloads of that kind: csv, json, lists, base64 or merged."""
    csv_input = ",".join(
        "" if value is None else str(value) for value in (number, 0.5 * number, "x", number % 3)
    )
    if kind == "json":
        request, response = json.dumps({"age": number, "in": {"a": [1, 2]}}), json.dumps({"score": 0.1})
    elif kind == "lists":
        request, response = (
            json.dumps({"instances": [[1, 2], [3, 4]]}),
            json.dumps({"predictions": [0.1, 0.9]}),
        )
    else:
        request, response = csv_input, f"0.{number}"
    encoding = {"csv": "CSV", "merged": "CSV", "base64": "BASE64"}.get(kind, "JSON")
    if kind == "base64":
        request, response = (base64.b64encode(text.encode()).decode() for text in (request, response))
    record: dict[str, Any] = {
        "captureData": {
            name: {"observedContentType": "text/csv", "mode": mode, "data": data, "encoding": encoding}
            for name, mode, data in (
                ("endpointInput", "INPUT", request),
                ("endpointOutput", "OUTPUT", response),
            )
        },
        "eventMetadata": {"eventId": f"e-{number}", "inferenceTime": f"2026-05-06T10:{number:02}:00Z"},
        "eventVersion": "0",
    }
    if kind == "merged":
        record["groundTruthData"] = {"data": str(number % 2), "encoding": "CSV"}
    return record


_CAPTURE_KINDS = ("csv", "json", "lists", "base64", "merged")


@functools.cache
def capture_seeds() -> tuple[bytes, ...]:
    """Return valid capture files, one kind of payload each, and one of all kinds."""
    files = [[capture_record(number, kind) for number in range(8)] for kind in _CAPTURE_KINDS]
    files.append([capture_record(number, kind) for number, kind in enumerate(_CAPTURE_KINDS)])
    return tuple(b"".join(json_bytes(record) + b"\n" for record in records) for records in files)


def _capture(generator: random.Random) -> Case:
    if generator.random() < 0.6:
        kind = generator.choice(_CAPTURE_KINDS)
        records = [capture_record(number, kind) for number in range(6)]
        at = generator.randrange(len(records))
        records[at] = damage_tree(_with_damaged_payload(records[at], generator), generator)
        data = b"\n".join(json_bytes(record) for record in records) + b"\n"
    else:
        data = _packed(generator.choice(capture_seeds()), generator, capture_seeds())
    dataset_format = generator.choice((CAPTURE, CAPTURE, MERGE))
    window = WINDOW if generator.random() < 0.4 else {}
    return _dataset(generator, "data.jsonl", data, dataset_format, "capture", **window)


def _with_damaged_payload(record: dict[str, Any], generator: random.Random) -> dict[str, Any]:
    if generator.random() < 0.5:
        part = record["captureData"][generator.choice(("endpointInput", "endpointOutput"))]
        if part["encoding"] == "JSON" and generator.random() < 0.5:
            part["data"] = json.dumps(damage_tree(json.loads(part["data"]), generator))
        else:
            part["data"] = damage(part["data"].encode(), generator).decode(errors="surrogateescape")
        if generator.random() < 0.3:
            part["encoding"] = generator.choice(("CSV", "JSON", "BASE64", "", None, "XML"))
    return record


def _document(generator: random.Random, name: str, seeds: dict[str, bytes]) -> Case:
    """Return a monitoring case whose document `name` is damaged; both documents come from a real job."""
    valid = seeds[name]
    if generator.random() < 0.7:
        data = json_bytes(damage_tree(json.loads(valid), generator))
    else:
        data = damage(valid, generator, [valid])
    files = {"data.csv": csv_seeds()[0], name: data}
    variables = {
        "dataset_source": "{folder}/data.csv",
        "dataset_format": CSV,
        "rules": generator.choice(("sound", "sagemaker")),
        f"baseline_{name.removesuffix('.json')}": f"{{folder}}/{name}",
    }
    other = "statistics" if name == "constraints.json" else "constraints"
    if generator.random() < 0.8:
        variables[f"baseline_{other}"] = f"{{folder}}/../table/{other}.json"
    if generator.random() < 0.3:
        variables["publish_cloudwatch_metrics"] = "Enabled"
        variables["cloudwatch_metrics_directory"] = "{folder}/output"
    return Case(files, variables, (name,), monitors=True)


# What baseline jobs wrote for `csv_seeds()[0]` and `quality_table()`, the latter with the kind of problem
# before the name; the worker fills it in before the first case.
documents: dict[str, bytes] = {}


def _statistics(generator: random.Random) -> Case:
    return _document(generator, "statistics.json", documents)


def _constraints(generator: random.Random) -> Case:
    return _document(generator, "constraints.json", documents)


_VALID_SETTINGS = {
    "dataset_format": CSV,
    "rules": "sound",
    "start_time": "2026-05-06T10:00:00Z",
    "end_time": "2026-05-06T11:00:00Z",
    "window": "PT1H",
    "start_time_offset": "-P3D",
    "end_time_offset": "-P1D",
    "exclude_features_attribute": "age,0",
    "categorical_drift_method": "LInfinity",
    "fail_on_violations": "Enabled",
    "publish_cloudwatch_metrics": "Disabled",
    "metric_time": "2026-05-06T10:00:00Z",
    "sagemaker_endpoint_name": "endpoint",
    "sagemaker_monitoring_schedule_name": "schedule",
    "analysis_type": "DATA_QUALITY",
    "workers": "2",
    "log_level": "ERROR",
    "monitoring_input_type": "ENDPOINT_INPUT",
}
_FORMATS = (CSV, HEADERLESS, JSON, CAPTURE, MERGE, "parquet", '{"csv":{"output_columns_position":"START"}}')


def _settings(generator: random.Random) -> Case:
    names = generator.sample(sorted(_VALID_SETTINGS), generator.randrange(1, 6))
    variables = {name: _VALID_SETTINGS[name] for name in names}
    variables["dataset_format"] = generator.choice(_FORMATS) if generator.random() < 0.5 else CSV
    victim = generator.choice(sorted(variables))
    text = variables.pop(victim)
    if victim == "dataset_format" and generator.random() < 0.5 and text.startswith("{"):
        text = json.dumps(damage_tree(json.loads(text), generator))
    elif generator.random() < 0.85:
        text = damage(text.encode(), generator, [value.encode() for value in variables.values()]).decode(
            errors="surrogateescape"
        )
    else:
        victim = damage(victim.encode(), generator).decode(errors="surrogateescape")
    clean = str.maketrans("", "", "\0=")
    variables[victim.translate(clean) or "x"] = text.replace("\0", "")
    # The processor count of the machine must not bound how many threads a damaged number starts.
    if variables.get("workers", "1").isdecimal():
        variables["workers"] = str(min(64, int(variables.get("workers", "1")[:9])))
    variables["dataset_source"] = "{folder}/data.csv"
    causes = (*_VALID_SETTINGS, "dataset_source", "data.csv", "unknown", victim)
    return Case({"data.csv": csv_seeds()[0]}, variables, causes)


_RESULTS = (
    "None",
    "[]",
    "{}",
    "[{}]",
    "[[]]",
    "[1]",
    "{'a': 1}",
    "[{'a': 1}, {'b': 'x'}]",
    "{'a': float('nan'), 'b': float('inf')}",
    "{'a': 10 ** 400}",
    "{'a': -2 ** 63, 'b': 2 ** 64}",
    "{'a': {'b': [1, {'c': None}]}}",
    "{1: 2, None: 3, ('x',): 4}",
    "{'a': object()}",
    "{'a': b'\\xff', 'b': {1, 2}, 'c': (1,)}",
    "{'a.b': 1, 'a': {'b': 2}}",
    "{'': 1}",
    "{'a': '\\ud800'}",
    "{'\\ud800': 1}",
    "{'a': 'x\\0y'}",
    "{'a': lambda: 1}",
    "{'a': 1j}",
    "'text'",
    "'a,b\\n1,2'",
    "'\\ud800,1'",
    "'\"open'",
    "'{\"a\": 1}'",
    "''",
    "b'bytes'",
    "1",
    "True",
    "float('nan')",
    "object()",
    "(x for x in [{'a': 1}])",
    "({'a': 1}, {'a': 2})",
    "{'captureData': {}}",
    "{'captureData': {'endpointInput': {'data': 1, 'encoding': 'CSV'}}}",
    "{'captureData': {'endpointInput': 7}}",
    "record",
    "[record, record]",
    "setattr(record, 'endpoint_input', None) or record",
    "setattr(record.endpoint_input, 'data', 5) or record",
    "setattr(record.endpoint_output, 'encoding', 'JSON') or record",
    "record.missing",
    "1 / 0",
    "recurse()",
    "stop(SystemExit, 3)",
    "stop(SystemExit)",
    "stop(MemoryError)",
    "stop(StopIteration)",
    "stop(UnicodeDecodeError, 'utf-8', b'x', 0, 1, 'reason')",
    "stop(ValueError, 'text\\n' * 900)",
    "stop(ValueError, '\\ud800')",
)
_SCRIPT = """\
import random
choices = random.Random({seed})
def recurse():
    return recurse()
def stop(kind, *arguments):
    raise kind(*arguments)
def {function}(record):
    if choices.random() < {keep}:
        return {usual}
    return {result}
"""


def _script(generator: random.Random) -> Case:
    dataframe = generator.random() < 0.2
    source = _SCRIPT.format(
        seed=generator.randrange(1 << 30),
        function="preprocess_dataframe" if dataframe else "preprocess_handler",
        keep=generator.choice((0, 0.5, 0.9)),
        usual=generator.choice(("record", "{'a': 1, 'b': 'x'}")),
        result=generator.choice(_RESULTS),
    ).encode("utf-8", "surrogateescape")
    if generator.random() < 0.1:
        source = source[: generator.randrange(len(source))]
    dataset_format, data = generator.choice(
        (
            (CSV, csv_seeds()[0]),
            (HEADERLESS, csv_seeds()[1]),
            (JSON, json_seeds()[1]),
            (JSON, json_seeds()[3]),
            ("parquet", parquet_seeds()[0]),
            (CAPTURE, capture_seeds()[0]),
            (CAPTURE, capture_seeds()[1]),
            (MERGE, capture_seeds()[4]),
        )
    )
    case = _dataset(generator, "data", data, dataset_format)
    script = f"script_{generator.randrange(1 << 60):x}.py"
    settings = {**case.settings, "record_preprocessor_script": f"{{folder}}/{script}"}
    return Case({**case.files, script: source}, settings, (script, "data"), case.monitors)


@functools.cache
def label_seeds() -> tuple[bytes, ...]:
    """Return valid labels for the captures of `capture_seeds`: single, lists, and a human review."""

    def lines(values: list[str], encoding: str) -> bytes:
        records = [
            {
                "groundTruthData": {"data": value, "encoding": encoding},
                "eventMetadata": {"eventId": f"e-{number}"},
                "eventVersion": "0",
            }
            for number, value in enumerate(values)
        ]
        return b"".join(json_bytes(record) + b"\n" for record in records)

    review = {
        "flowDefinitionArn": "arn:aws:sagemaker:eu-west-1:111122223333:flow-definition/review",
        "humanAnswers": [{"answerContent": {"label": 1}, "submissionTime": "2026-05-06T12:00:00Z"}],
        "humanLoopName": "loop-1",
        "inputContent": {"inferenceId": "e-1"},
    }
    return (
        lines([str(number % 2) for number in range(8)], "CSV"),
        lines([json.dumps({"label": number % 2}) for number in range(8)], "JSON"),
        lines(["0\n1" for _ in range(8)], "CSV"),
        json_bytes(review),
    )


def _labels(generator: random.Random) -> Case:
    """Return a merge whose labels are damaged, or its captures, or a job that joins while reading."""
    if generator.random() < 0.5:
        records = [json.loads(line) for line in generator.choice(label_seeds()).splitlines()]
        records[0] = damage_tree(records[0], generator)
        labels = b"\n".join(json_bytes(record) for record in records)
    else:
        labels = _packed(generator.choice(label_seeds()), generator, label_seeds())
    captures = generator.choice(capture_seeds()[:3])
    if generator.random() < 0.3:
        captures = damage(captures, generator, capture_seeds())
    # Only files called .json can be answers of human reviewers.
    name = generator.choice(("labels.jsonl", "output.json"))
    settings = {"dataset_source": "{folder}/data.jsonl", "ground_truth_source": f"{{folder}}/{name}"}
    if generator.random() < 0.4:
        settings |= WINDOW
    files = {"data.jsonl": captures, name: labels}
    if generator.random() < 0.6:
        return Case(files, settings, ("data.jsonl", name), command="merge-ground-truth")
    settings |= {"dataset_format": MERGE, "problem_type": "BinaryClassification"}
    settings |= {"inference_attribute": "0", "rules": generator.choice(("sound", "sagemaker"))}
    causes = ("data.jsonl", name, "attribute", "problem_type", "positive_label")
    return Case(files, settings, causes, command="monitor-model-quality")


def quality_table() -> bytes:
    """Return a valid table of predictions with their labels."""
    lines = ["label,prediction,probability,group"]
    lines += [f"{n % 3 % 2},{n % 2},0.{n * 7 % 100:02},{'ab'[n % 2]}" for n in range(40)]
    return "\n".join(lines).encode() + b"\n"


QUALITY = {
    "inference_attribute": "prediction",
    "probability_attribute": "probability",
    "ground_truth_attribute": "label",
}


def _model_quality(generator: random.Random) -> Case:
    """Return a model-quality job whose table, one of whose documents or whose attributes are damaged."""
    problem = generator.choice(("BinaryClassification", "MulticlassClassification", "Regression"))
    settings = {
        "dataset_source": "{folder}/data.csv",
        "dataset_format": CSV,
        "problem_type": problem,
        **QUALITY,
    }
    if problem == "Regression":
        del settings["probability_attribute"]
    settings["rules"] = generator.choice(("sound", "sound", "sagemaker"))
    table = quality_table()
    files = {"data.csv": table}
    causes = ("data.csv", *settings, "attribute", "positive_label")
    choice = generator.random()
    if choice < 0.4:
        files["data.csv"] = damage(table, generator, [table])
    elif choice < 0.5:
        name = generator.choice(sorted(QUALITY))
        settings[name] = (
            damage(QUALITY[name].encode(), generator).replace(b"\0", b"").decode(errors="surrogateescape")
        )
    if choice < 0.4:
        return Case(files, settings, causes, command="monitor-model-quality")
    kept = {name: data for name, data in documents.items() if name.startswith(problem)}
    for name, data in kept.items():
        kind = name.removeprefix(problem).removesuffix(".json")
        settings[f"baseline_{kind}"] = f"{{folder}}/{name}"
        files[name] = data
    if choice >= 0.5:
        name = generator.choice(sorted(kept))
        tree = generator.random() < 0.7
        files[name] = (
            json_bytes(damage_tree(json.loads(files[name]), generator))
            if tree
            else damage(files[name], generator, [files[name]])
        )
    return Case(files, settings, (*causes, *kept), monitors=True, command="monitor-model-quality")


READERS: dict[str, Callable[[random.Random], Case]] = {
    "csv": _csv,
    "json": _json,
    "parquet": _parquet,
    "capture": _capture,
    "statistics": _statistics,
    "constraints": _constraints,
    "settings": _settings,
    "script": _script,
    "labels": _labels,
    "model_quality": _model_quality,
}
