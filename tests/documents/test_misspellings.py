"""Members misspelt, and values that members cannot have: refused all at once, each with the right name.

The members are those of the schema: of every object in a document that a job wrote, of every setting, of
every option of dataset_format, of every field of a described schedule.
"""

from __future__ import annotations

import copy
import dataclasses
import difflib
import functools
import json
import random
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from documents.test_switch import settings as settings_of
from fixtures import fixture
from history.test_history_record import runs
from hypothesis import HealthCheck, Phase, find, settings
from imported_schedules import MONITORS, descriptions
from run_jobs import environment, run_job

from analyzers.bias import documents as bias
from analyzers.data_quality import documents as data_quality
from analyzers.feature_attribution import documents as attribution
from analyzers.model_quality import documents as model_quality
from containers.data_quality.main import MONITOR
from contract import schema
from contract.analysis_config import AnalysisConfig, read_analysis_config
from contract.dataset_format import parse_dataset_format
from contract.errors import InputError, Mistake
from contract.settings import VARIABLES, read_settings
from orchestrators.import_schedule.describe import combine
from reporting.history.record import Run, read_run, run_to_json

MOST_MISSPELT, MOST_WRONG = 30, 20
KINDS = ("data-quality", "model-quality", "bias", "feature-attribution")


class Place(NamedTuple):
    """A member: the object that has it, its key, and where that is."""

    holder: dict[str, Any]
    key: str


def places(kind: Any, value: dict[str, Any]) -> Iterator[Place]:
    """Yield the members of an object, and those of the objects in it, as the schema has them."""
    hints = typing.get_type_hints(kind)
    for name, key, _, how in schema._members(kind):
        holder = value
        for step in how.inside:
            holder = holder.get(step) or {}
        if holder.get(key) is None:
            continue
        yield Place(holder, key)
        for inner in classes_in(hints[name]):
            for found in objects_in(holder[key]):
                yield from places(inner, found)


def classes_in(hint: Any) -> list[Any]:
    if dataclasses.is_dataclass(hint):
        return [hint]
    return [one for part in typing.get_args(hint) for one in classes_in(part)]


def objects_in(value: Any) -> list[dict[str, Any]]:
    """Return the objects of a list; one that holds lists of objects stands for these."""
    if isinstance(value, list):
        return [one for part in value for one in objects_in(part)]
    if not isinstance(value, dict):
        return []
    lists = [part for part in value.values() if isinstance(part, list) and part and isinstance(part[0], dict)]
    return objects_in(lists) if lists and len(lists) == len(value) else [value]


def misspelt(name: str, known: set[str], chance: random.Random) -> str:
    """Return a name with one letter lost, doubled or exchanged with the next, which is no other known one."""
    while True:
        at = chance.randrange(1, len(name) - 1)
        wrong = chance.choice(
            (
                name[:at] + name[at + 1 :],
                name[:at] + name[at] + name[at:],
                name[:at] + name[at + 1] + name[at] + name[at + 2 :],
            )
        )
        plain = {one.replace("_", "").casefold(): one for one in known}
        close = difflib.get_close_matches(wrong.replace("_", "").casefold(), plain, n=1)
        is_another = wrong.replace("_", "") != name.replace("_", "") and wrong not in known
        if is_another and plain.get(next(iter(close), "")) == name:
            return wrong


def a_wrong_value(value: Any) -> Any:
    """Return a value of another kind than this one."""
    if isinstance(value, bool):
        return "perhaps"
    if isinstance(value, str):
        return {"no": "text"}
    return 17.5 if isinstance(value, list | dict) else "many"


class Document(NamedTuple):
    """A document that is in order, how it is read, and its members."""

    value: Any
    read: Callable[[Any], object]
    places: Callable[[Any], list[Place]]


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the folders that a baseline job of each monitor wrote."""
    found = {}
    for kind in KINDS:
        folder = tmp_path_factory.mktemp(kind)
        before, _, given = settings_of(kind, folder)
        made = run_job(folder, before, **given)
        assert made.exit_code == 0, made.message
        found[kind] = made.output
    return found


def metrics_of(kind: Any, value: dict[str, Any], ending: str) -> list[Place]:
    metrics = next(member for name, member in value.items() if name.endswith(ending))
    objects = [
        one for one in metrics.values() if isinstance(one, dict) and {"value", "threshold"} & one.keys()
    ]
    return [place for one in objects for place in places(kind, one)]


def labels_of(value: dict[str, Any]) -> list[Place]:
    labels = value["explanations"]["kernel_shap"].values()
    return [place for label in labels for place in places(attribution.LabelAttributions, label)]


def of_a_schedule(documents: list[dict[str, Any]]) -> list[Place]:
    """Return the fields of a described schedule that decide what becomes of it."""
    inputs, names = [], ("ImageUri", "ScheduleExpression", "InstanceType", "InstanceCount", "RoleArn")
    for document in documents:
        todo: list[Any] = [document]
        while todo:
            one = todo.pop()
            todo += one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
            inputs += [Place(one, key) for key in names if isinstance(one, dict) and key in one]
    return inputs


@functools.cache
def a_run() -> Run:
    """Return the record of a run with violations and metrics."""
    wanted = settings(
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        max_examples=2_000,
    )
    found = find(runs, lambda run: bool(run.violations and run.metrics), settings=wanted)
    return dataclasses.replace(found, endpoint="e", schedule="s", rows=1, labelled=1, unlabelled=1)


def document(name: str, written: dict[str, Path]) -> Document:
    kind, _, what = name.partition(" ")
    if kind in KINDS:
        value = json.loads((written[kind] / f"{what}.json").read_text(encoding="utf-8"))
        modules = (data_quality, model_quality, bias, attribution)
        module: Any = dict(zip(KINDS, modules, strict=True))[kind]
        root: Callable[[Any], list[Place]] = {
            "data-quality statistics": lambda value: [*places(data_quality.Statistics, value)],
            "data-quality constraints": lambda value: [
                *places(data_quality.Constraints, value),
                *(
                    place
                    for one in value["features"]
                    for place in places(data_quality.FeatureConstraints, one)
                ),
                *places(data_quality.MonitoringConfig, value["monitoring_config"]),
            ],
            "model-quality statistics": lambda value: [
                *places(model_quality.QualityStatistics, value),
                *metrics_of(model_quality.MetricValue, value, "_metrics"),
            ],
            "model-quality constraints": lambda value: metrics_of(
                model_quality.MetricConstraint, value, "_constraints"
            ),
            "bias statistics": lambda value: [*places(bias.BiasStatistics, value)],
            "bias constraints": lambda value: [*places(bias.BiasConstraints, value)],
            "feature-attribution statistics": lambda value: [
                *labels_of(value),
                *places(attribution.Explained, value["explained"]),
                *places(attribution.SamplingDesign, value["explanations"]["sampling_design"]),
            ],
            "feature-attribution constraints": labels_of,
        }[name]
        read = module.read_statistics if what == "statistics" else module.read_constraints
        return Document(value, lambda value: read(value, f"{what}.json"), root)
    if name == "history":
        value = json.loads(json.dumps(run_to_json(a_run())))
        return Document(value, lambda value: read_run(value, "record"), lambda value: [*places(Run, value)])
    if name == "analysis_config":
        path = fixture("clarify/analysis_configs/explainability_analysis_config.json")
        value = json.loads(path.read_text(encoding="utf-8"))
        return Document(
            value,
            lambda value: read_analysis_config(value, "analysis_config.json", "attribution"),
            lambda value: [*places(AnalysisConfig, value)],
        )
    if name == "dataset_format":
        value = {"csv": {"header": True, "separator": ",", "output_columns_position": "START"}}
        return Document(
            value,
            lambda value: parse_dataset_format(json.dumps(value)),
            lambda value: [Place(value["csv"], key) for key in value["csv"]],
        )
    if name == "settings":
        value = {
            variable.name: "5" if variable.kind in ("count", "seconds") else variable.choices[0]
            for variable in VARIABLES
            if variable.kind in ("count", "seconds", "choice")
            and (variable.needs in (None, "analysis", "table", "distributions"))
        }
        value |= {
            "dataset_source": "/in",
            "output_path": "/out",
            "dataset_format": '{"csv":{}}',
            "window": "PT1H",
            "start_time": "2026-05-06T22:00:00Z",
            "end_time": "2026-05-07T22:00:00Z",
        }
        value |= {
            one.name: "Enabled" for one in VARIABLES if one.kind == "switch" and one.needs == "analysis"
        }
        return Document(
            value,
            lambda value: read_settings([], {key: str(text) for key, text in value.items()}, MONITOR),
            lambda value: [Place(value, key) for key in value if "_" in key],
        )
    files = [Path(file) for file in descriptions(kind.removeprefix("schedule:"))]
    value = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    return Document(value, combine, of_a_schedule)


NAMES = (
    *(f"{kind} {what}" for kind in KINDS for what in ("statistics", "constraints")),
    "history",
    "analysis_config",
    "dataset_format",
    "settings",
    *(f"schedule:{monitor}" for monitor in MONITORS),
)


def mistakes_of(read: Callable[[Any], object], value: Any) -> tuple[Mistake, ...]:
    with pytest.raises(InputError) as caught:
        read(value)
    return caught.value.mistakes


@pytest.mark.parametrize("name", NAMES)
def test_misspelt_members_are_refused_with_the_right_name(name: str, written: dict[str, Path]) -> None:
    found = document(name, written)
    found.read(found.value)
    chance = random.Random(name)
    done = 0
    while done < MOST_MISSPELT:
        value = copy.deepcopy(found.value)
        every = [
            place
            for place in found.places(value)
            if len(place.key) > 5 and not isinstance(place.holder[place.key], dict | list)
        ]
        chance.shuffle(every)
        wrong: dict[str, str] = {}
        for holder, key in every[: MOST_MISSPELT - done]:
            known = {place.key for place in every} | holder.keys()
            wrong[new := misspelt(key, known, chance)] = key
            if new in wrong and new not in holder:
                holder[new] = holder.pop(key)
        assert wrong
        said = mistakes_of(found.read, value)
        for new, right in wrong.items():
            texts = [one.text for one in said if one.field.rpartition(".")[2] == new or one.field == new]
            assert any(right in text for text in texts), f"{new}, for {right}: {[one.text for one in said]}"
        done += len(wrong)


@pytest.mark.parametrize("name", NAMES)
def test_values_that_members_cannot_have_are_refused(name: str, written: dict[str, Path]) -> None:
    found = document(name, written)
    chance = random.Random(name)
    done = 0
    while done < MOST_WRONG:
        value = copy.deepcopy(found.value)
        every = [
            place for place in found.places(value) if not isinstance(place.holder[place.key], dict | list)
        ]
        every = [place for place in every if name != "settings" or place.key in NARROW]
        chance.shuffle(every)
        wrong = {}
        for holder, key in every[: MOST_WRONG - done]:
            if id(holder) not in {id(one) for one, _ in wrong.values()}:
                wrong[key] = holder, holder[key]
                holder[key] = a_wrong_value(holder[key])
        assert wrong
        said = mistakes_of(found.read, value)
        for key in wrong:
            assert any(one.field.rpartition(".")[2] == key or key in one.text for one in said), (key, said)
        done += len(wrong)


# Settings that are more than any text.
NARROW = {one.name for one in VARIABLES if one.kind != "text"} - {
    "exclude_features_attribute",
    "missing_values",
}


RANGES = {
    "analysis_config": {"probability_threshold": 1.5, "version": "2.0"},
    "constraints": {"completeness": 1.5},
    "monitoring_config": {
        "datatype_check_threshold": 1.5,
        "domain_content_threshold": -0.1,
        "comparison_threshold": 7,
        "evaluate_constraints": "Sometimes",
        "comparison_method": "Fast",
    },
}


def test_values_out_of_range_are_refused_together(written: dict[str, Path]) -> None:
    found = document("data-quality constraints", written)
    value = copy.deepcopy(found.value)
    value["monitoring_config"] |= {
        key: wrong for key, wrong in RANGES["monitoring_config"].items() if key in value["monitoring_config"]
    }
    value["features"][0] |= RANGES["constraints"]
    said = " ".join(one.text for one in mistakes_of(found.read, value))
    for key in ("evaluate_constraints", "completeness", "datatype_check_threshold"):
        assert key in said
    config = document("analysis_config", written)
    said = " ".join(
        one.text for one in mistakes_of(config.read, {**config.value, **RANGES["analysis_config"]})
    )
    assert all(key in said for key in RANGES["analysis_config"])


@pytest.mark.parametrize("kind", KINDS)
def test_job_and_dry_run_refuse_alike(
    kind: str, written: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = document(f"{kind} constraints", written)
    value = copy.deepcopy(found.value)
    chance, wrong = random.Random(kind), {}
    for holder, key in found.places(value)[:6]:
        if len(key) > 5 and not isinstance(holder[key], dict | list):
            wrong[misspelt(key, {*holder}, chance)] = key
            holder[list(wrong)[-1]] = holder.pop(key)
    (tmp_path / "constraints.json").write_text(json.dumps(value), encoding="utf-8")
    _, after, given = settings_of(kind, tmp_path)
    given = {**given, "baseline_constraints": tmp_path / "constraints.json"}
    job = run_job(tmp_path, after, **given)
    assert job.exit_code == 2
    command = given.pop("command")
    variables = {
        "dataset_source": after,
        "output_path": tmp_path / "out",
        "dataset_format": '{"csv":{}}',
        **given,
    }
    with environment({name: str(text) for name, text in variables.items() if text is not None}):
        assert command(["--validate"]) == 2
    dry = capsys.readouterr().out
    assert wrong
    for new, right in wrong.items():
        assert new in job.message or len(job.message.encode()) >= 1_000
        assert new in dry
        assert right in dry
