"""docs/constraints.md: every edit it shows has the effect its title names; near misses are refused."""

import copy
import json
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fixtures import ROOT
from run_jobs import Result, run_job
from sentences import says

from analyzers.data_quality.documents import FILE, constraints_to_json, read_constraints
from contract.errors import DocumentError
from contract.schema import Level

PAGE = (ROOT / "docs" / "constraints.md").read_text(encoding="utf-8")
EDITS = dict(re.findall(r"^### (.+?)\n\n```json\n(.+?)\n```", PAGE, re.MULTILINE | re.DOTALL))
Columns = dict[str, list[Any]]


def columns(seed: int, rows: int = 2_000) -> Columns:
    rng = np.random.default_rng(seed)
    return {
        "age": rng.integers(18, 90, rows).tolist(),
        "income": rng.normal(50, 10, rows).round(2).tolist(),
        "city": rng.choice(["Oslo", "Rome", "Bern"], rows).tolist(),
    }


def write(file: Path, data: Columns) -> Path:
    lines = [",".join(data), *(",".join(map(str, row)) for row in zip(*data.values(), strict=True))]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def replaced(name: str, text: object, every: int) -> Callable[[Columns], Columns]:
    def change(data: Columns) -> Columns:
        cells = [text if row % every == 0 else cell for row, cell in enumerate(data[name])]
        return {**data, name: cells}

    return change


def drifted(data: Columns) -> Columns:
    return {**data, "income": [cell + 10.0 for cell in data["income"]]}


# What a window has, and what is found in it before and after the edit.
EFFECTS: dict[str, tuple[Callable[[Columns], Columns], set[str], set[str]]] = {
    "Switch drift off for one feature": (drifted, {"baseline_drift_check"}, set()),
    "Allow one feature to drift further": (drifted, {"baseline_drift_check"}, set()),
    "Allow new categories": (replaced("city", "Turin", 20), {"categorical_values_check"}, set()),
    "Add one known category": (replaced("city", "Turin", 20), {"categorical_values_check"}, set()),
    "Tolerate missing values": (replaced("age", "", 25), {"completeness_check"}, set()),
    "Tolerate 5 % of another type": (replaced("age", "old", 25), {"data_type_check"}, set()),
    "Demand another type": (dict, set(), {"data_type_check"}),
    "Watch a range": (replaced("age", 150, 400), set(), {"value_range_check"}),
    "Leave one feature alone": (drifted, {"baseline_drift_check"}, set()),
    "Switch drift off for all features": (drifted, {"baseline_drift_check"}, set()),
    "Allow all features to drift further": (drifted, {"baseline_drift_check"}, set()),
}


def merged(document: Any, edit: Any) -> Any:
    if isinstance(edit, dict):
        before = document if isinstance(document, dict) else {}
        return {**before, **{key: merged(before.get(key), member) for key, member in edit.items()}}
    if isinstance(edit, list) and edit and isinstance(edit[0], dict):
        by_name = {member["name"]: member for member in edit}
        return [merged(member, by_name.get(member["name"], {})) for member in document]
    return edit


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder = tmp_path_factory.mktemp("baseline")
    return run_job(folder, write(folder / "data.csv", columns(1)))


def checks(folder: Path, baseline: Result, window: Columns, edit: dict[str, Any]) -> tuple[set[str], Result]:
    document = merged(baseline.document("constraints.json"), edit)
    (folder / "constraints.json").write_text(json.dumps(document), encoding="utf-8")
    result = run_job(
        folder,
        write(folder / "window.csv", window),
        baseline_constraints=folder / "constraints.json",
        baseline_statistics=baseline.output / "statistics.json",
    )
    assert result.exit_code == 0, result.message
    return {violation["constraint_check_type"] for violation in result.violations}, result


def test_every_edit_of_the_page_is_tried() -> None:
    assert EDITS.keys() == EFFECTS.keys()


@pytest.mark.parametrize("wish", EFFECTS)
def test_an_edit_has_the_effect_it_names(tmp_path: Path, baseline: Result, wish: str) -> None:
    change, before, after = EFFECTS[wish]
    window = change(columns(2))
    found, _ = checks(tmp_path, baseline, window, {})
    assert before <= found
    assert (before or after) - found == (set() if before else after)
    found, _ = checks(tmp_path, baseline, window, json.loads(EDITS[wish]))
    assert after <= found
    assert not found & before


def test_every_member_is_on_the_page() -> None:
    def names(level: Level) -> Iterator[str]:
        for name, below in level.members.items():
            yield from (name, *(names(below) if below else ()))

    for name in set(names(FILE)) - {"version", "features"}:
        assert f"`{name}`" in PAGE or f".{name}`" in PAGE or f"`{name}." in PAGE, name


@pytest.mark.parametrize(
    "place",
    [
        ("monitoringConfigOverrides",),
        ("monitoring_config_overrides",),
        ("num_constraints", "monitoringConfigOverrides"),
        ("num_constraints", "monitoring_config_overrides"),
        ("string_constraints", "monitoring_config_overrides"),
        ("string_constraints", "monitoringConfigOverrides"),
    ],
)
@pytest.mark.parametrize("nested", [True, False])
def test_overrides_in_every_spelling(
    tmp_path: Path, baseline: Result, place: tuple[str, ...], nested: bool
) -> None:
    edit: dict[str, Any] = {"perform_comparison": "Disabled"}
    edit = {"distribution_constraints": edit} if nested else edit
    for name in reversed(place):
        edit = {name: edit}
    found, result = checks(
        tmp_path, baseline, drifted(columns(2)), {"features": [{"name": "income", **edit}]}
    )
    assert found == set()
    written = read_constraints(result.document("constraints.json"), "constraints.json")
    assert not written.config(
        next(one for one in written.features if one.name == "income")
    ).perform_comparison  # carried over
    document = merged(baseline.document("constraints.json"), {"features": [{"name": "income", **edit}]})
    assert constraints_to_json(read_constraints(copy.deepcopy(document), "c")) == document


def refusal(document: dict[str, Any]) -> str:
    with pytest.raises(DocumentError) as caught:
        read_constraints(document, "constraints.json")
    return caught.value.message


def test_the_shared_case_is_refused(baseline: Result) -> None:
    edit = {"comparison_treshold": 0.5, "completness": 0.9}
    document = merged(baseline.document("constraints.json"), {"features": [{"name": "age", **edit}]})
    text = refusal(document)
    assert text.startswith("constraints.json: 2 members are wrong")
    threshold = {"field": "feature 'age'.comparison_treshold", "meant": "comparison_threshold"}
    place = " in monitoring_config, or monitoringConfigOverrides of a feature"
    assert says(text, "members.near_miss", **threshold, place=place)
    share = {"field": "feature 'age'.completness", "meant": "completeness"}
    assert says(text, "members.near_miss", **share, place="")


THRESHOLD = "monitoring_config.comparison_threshold"


@pytest.mark.parametrize(
    ("edit", "code", "members"),
    [
        (
            {"features": [{"name": "age", "completeness": 95}]},
            "data_quality_documents.completeness",
            {"field": "feature 'age'", "share": 95},
        ),
        (
            {"monitoring_config": {"distribution_constraints": {"comparison_threshold": 30}}},
            "members.wrong",
            {"field": THRESHOLD, "expected": "a number from 0 to 1, such as 0.1", "value": 30},
        ),
        (
            {"monitoring_config": {"distribution_constraints": {"share_comparison_threshold": 5}}},
            "members.wrong",
            {"field": "monitoring_config.share_comparison_threshold", "value": 5}
            | {"expected": "a number from 0 to 3.15, such as 0.1"},
        ),
        (
            {"comparison_threshold": 0.2},
            "members.misplaced",
            {"field": "comparison_threshold"}
            | {"home": "monitoring_config, or monitoringConfigOverrides of a feature"},
        ),
        (
            {"monitoring_config": {"comparison_threshold": 0.2}},
            "data_quality_documents.said_twice",
            {"field": THRESHOLD},
        ),
        (
            {"features": [{"name": "age", "completeness": "NaN"}]},
            "data_quality_documents.completeness",
            {"field": "feature 'age'", "share": math.nan},
        ),
        (
            {"features": [{"name": "age", "num_constraints": {"min": 1}}]},
            "members.near_miss",
            {"field": "feature 'age'.num_constraints.min", "meant": "minimum", "place": ""},
        ),
        (
            {"features": [{"name": "city", "domains": ["a"]}]},
            "members.misplaced",
            {"field": "feature 'city'.domains", "home": "string_constraints"},
        ),
        (
            {"monitoring_config": {"evaluate_constraint": "Disabled"}},
            "members.near_miss",
            {"field": "monitoring_config.evaluate_constraint", "meant": "evaluate_constraints", "place": ""},
        ),
        (
            {"monitoringConfig": {}},
            "members.near_miss",
            {"field": "monitoringConfig", "meant": "monitoring_config", "place": ""},
        ),
        (
            {"features": [{"name": "age", "monitoringConfigOverides": {}}]},
            "members.near_miss",
            {"field": "feature 'age'.monitoringConfigOverides", "meant": "monitoringConfigOverrides"},
        ),
    ],
)
def test_what_is_refused(baseline: Result, edit: dict[str, Any], code: str, members: dict[str, Any]) -> None:
    assert says(refusal(merged(baseline.document("constraints.json"), edit)), code, **members)


def test_a_feature_that_is_there_twice_is_refused(baseline: Result) -> None:
    document = baseline.document("constraints.json")
    document["features"].append(dict(document["features"][0]))
    assert f"feature {document['features'][0]['name']!r} is there 2 times" in refusal(document)


def test_the_spelling_of_aws_s_own_page(baseline: Result) -> None:
    document = baseline.document("constraints.json")
    distribution = document["monitoring_config"]["distribution_constraints"]
    distribution["comparion_method"] = distribution.pop("comparison_method").replace("Robust", "Simple")
    read = read_constraints(document, "constraints.json")
    assert read.config().comparison_method == "Simple"
    assert constraints_to_json(read) == document


def test_members_without_effect_are_named_and_kept(tmp_path: Path, baseline: Result) -> None:
    edit = {"owner": "us", "features": [{"name": "city", "num_constraints": {"minimum": 1}, "note": "x"}]}
    _, result = checks(tmp_path, baseline, columns(2), edit)
    page = (result.output / "report.html").read_text(encoding="utf-8")
    for name in ("owner", "feature &#39;city&#39;.note", "feature &#39;city&#39;.num_constraints"):
        assert name in page.partition('id="notes"')[2]
    written = result.document("constraints.json")
    assert written["owner"] == "us"
    assert written["features"][2]["note"] == "x"


def test_members_that_are_null_are_named() -> None:
    features = [{"name": "age", "inferred_type": "Integral", "completeness": None}]
    found = read_constraints({"version": 0.0, "features": features}, "constraints.json")
    assert found.unused == ["feature 'age'.completeness, which is null"]


@pytest.mark.parametrize(
    ("config", "overrides", "is_unused"),
    [
        ({"domain_content_threshold": 0.8}, {"domain_content_threshold": 0.99}, True),
        ({"distribution_constraints": {"min_domain_mass": 0.8}}, {"domain_content_threshold": 0.99}, True),
        ({"domain_content_threshold": 1.0}, {"domain_content_threshold": 0.99}, False),
        ({"domain_content_threshold": 0.8}, {"comparison_threshold": 0.2}, False),
    ],
)
def test_a_share_of_known_values_that_each_feature_overrides_is_named(config, overrides, is_unused) -> None:
    texts = {"string_constraints": {"domains": ["a"]}, "monitoringConfigOverrides": overrides}
    features = [
        {"name": "city", "inferred_type": "String", **texts},
        {"name": "x", "inferred_type": "Integral"},
    ]
    file = {"version": 0.0, "features": features, "monitoring_config": config}
    found = read_constraints(file, "constraints.json").unused
    assert any("domain_content_threshold" in name for name in found) == is_unused
