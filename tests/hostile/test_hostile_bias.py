"""Bias jobs on data and configurations that suit each other badly: a cause and a fix, never tracebacks."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from run_jobs import Result, run_job
from sentences import said, says

from benchmarks.mutations import damage, damage_tree, json_bytes
from containers.bias.main import main as monitor_bias

ALL = {"pre_training_bias": {"methods": "all"}, "post_training_bias": {"methods": "all"}}
CONFIG: dict[str, Any] = {
    "dataset_type": "text/csv",
    "label": "y",
    "predicted_label": "p",
    "label_values_or_threshold": [1],
    "facet": [{"name_or_index": "sex", "value_or_threshold": ["f"]}],
    "methods": ALL,
}
RULES = ("sound", "sagemaker")


def rows(count: int, row: Callable[[int], str]) -> str:
    return "sex,age,y,p\n" + "".join(row(number) + "\n" for number in range(count))


def plain(number: int) -> str:
    return f"{'fm'[number % 2]},{20 + number % 50},{number % 3 % 2},{number % 5 % 2}"


def bias(folder: Path, data: str, config: dict[str, Any] | None = None, **variables: Any) -> Result:
    source = folder / "d.csv"
    source.write_text(data, encoding="utf-8")
    (folder / "analysis_config.json").write_text(json.dumps({**CONFIG, **(config or {})}), encoding="utf-8")
    variables = {"analysis_config": folder, "dataset_format": None, **variables}
    result = run_job(folder, source, command=monitor_bias, **variables)
    assert "Internal error" not in result.message
    return result


def metrics(result: Result, stage: str) -> dict[str, Any]:
    """Return the metrics of the only facet value."""
    [values] = result.document("analysis.json")[f"{stage}_training_bias_metrics"]["facets"].values()
    return {metric["name"]: metric for metric in values[0]["metrics"]}


METHODS = "methods.pre_training_bias.methods"


def absent(field: str, column: str, hint: str) -> tuple[str, dict[str, Any]]:
    return "column.absent", {"field": field, "column": column, "hint": hint}


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize(
    ("config", "sentences"),
    [
        (
            {"facet": [{"name_or_index": "sx"}, {"name_or_index": 9}], "label": "Y"},
            [
                absent("label", "Y", ": did you mean y?"),
                absent("facet[0].name_or_index", "sx", ": did you mean sex?"),
                ("column.beyond", {"field": "facet[1].name_or_index", "position": 9}),
                ("column.beyond", {"columns": "4 columns", "last": 3}),
            ],
        ),
        (
            {"facet": [["sex", "income"]], "group_variable": "agee"},
            [
                absent("facet[0].name_or_index", "income", "; its columns are sex, age, y, p"),
                absent("group_variable", "agee", ": did you mean age?"),
            ],
        ),
        (
            {"methods": {"pre_training_bias": {"methods": ["CI", "DP"]}}},
            [("analysis_config.metric", {"field": METHODS, "name": "DP", "hint": ": did you mean DPL?"})],
        ),
        ({"predicted_label": None}, [("bias_configuration.predictions", {})]),
        ({"predicted_label": "y"}, [("column.label_twice", {"field": "predicted_label", "column": "y"})]),
        (
            {"predicted_label": None, "predictor": {"model_name": "loans"}},
            [("temporary_endpoint.no_instance_type", {"name": "loans"})],
        ),
        (
            {"segment_config": [{"name_or_index": "ag", "segments": [["[1, 2"]]}]},
            [
                ("column.no_interval", {"field": "segment_config[0].segments", "text": "[1, 2"}),
                absent("segment_config[0].name_or_index", "ag", ": did you mean age?"),
            ],
        ),
        (
            {
                "segment_config": [{"config_name": "sex", "name_or_index": "age", "segments": [["[30, 1]"]]}],
            },
            [
                ("column.no_interval", {"field": "segment_config[0].segments", "text": "[30, 1]"}),
                ("column.taken", {"field": "segment_config[0].config_name", "column": "sex"}),
            ],
        ),
        ({"dataset_uri": "/nowhere/d.csv"}, [("stored_file.missing", {"file": "/nowhere/d.csv"})]),
        (
            {"predicted_label_dataset_uri": "/nowhere/p.csv"},
            [("stored_file.missing", {"field": "predicted_label_dataset_uri", "file": "/nowhere/p.csv"})],
        ),
    ],
)
def test_a_configuration_that_does_not_suit_the_data(
    tmp_path: Path, rules: str, config: dict[str, Any], sentences: list[tuple[str, dict[str, Any]]]
) -> None:
    result = bias(tmp_path, rows(200, plain), config, rules=rules)
    assert result.exit_code == 2
    for code, members in sentences:
        assert says(result.message, code, **members)
    assert ("3 members are wrong" in result.message) is ("label" in config)
    assert result.files == []


def test_a_member_that_is_there_twice(tmp_path: Path) -> None:
    path = tmp_path / "analysis_config.json"
    path.write_text('{"label": "y", "label": "z"}', encoding="utf-8")
    result = run_job(tmp_path, tmp_path, command=monitor_bias, analysis_config=path, dataset_format=None)
    assert (result.exit_code, "has the member 'label' twice" in result.message) == (2, True)


@pytest.mark.parametrize(
    ("content", "code", "members"),
    [
        (b"", "json.broken", {}),
        (b'{"label": "y",}', "json.broken", {}),
        (b"\xff\xfe{}", "json.broken", {}),
        (b"[]", "members.no_object", {"place": "the file", "value": "[]"}),
        (b"null", "members.no_object", {"place": "the file", "value": "null"}),
        (b"{}", "members.required", {"field": "label"}),
    ],
)
def test_a_file_that_is_no_configuration(
    tmp_path: Path, content: bytes, code: str, members: dict[str, Any]
) -> None:
    path = tmp_path / "analysis_config.json"
    path.write_bytes(content)
    result = run_job(tmp_path, tmp_path, command=monitor_bias, analysis_config=path, dataset_format=None)
    assert result.exit_code == 2
    assert str(path) in result.message
    assert says(result.message, code, **members)
    assert ("3 members are wrong" in result.message) is (content == b"{}")


def test_a_configuration_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    for place in (tmp_path / "config", tmp_path / "confg"):
        result = run_job(tmp_path, tmp_path, command=monitor_bias, analysis_config=place, dataset_format=None)
        assert result.exit_code == 2
        assert "analysis_config" in result.message


def test_a_label_that_is_never_positive(tmp_path: Path) -> None:
    config = {"label_values_or_threshold": [7]}
    result = bias(tmp_path, rows(200, plain), config, rules="sagemaker")
    assert result.exit_code == 2
    assert "Positive Predicted Index Series contains all False values" in result.message
    result = bias(tmp_path, rows(200, plain), config)
    assert result.exit_code == 2
    label = {"role": "label", "asked": 7, "field": "y", "found": "holds '0', '1'"}
    assert says(result.message, "bias_groups.no_outcome", **label)


def test_a_label_that_is_always_positive(tmp_path: Path) -> None:
    result = bias(tmp_path, rows(200, plain), {"label_values_or_threshold": [0, 1]})
    assert result.exit_code == 2
    assert result.message.startswith(
        "Every label is positive: label_values_or_threshold asks for labels that"
    )


def test_a_window_without_a_positive_label_or_prediction_says_so(tmp_path: Path) -> None:
    baseline = bias(tmp_path, rows(200, plain))
    data = rows(200, lambda number: plain(number)[:-3] + "0,0")
    result = bias(tmp_path, data, baseline_constraints=baseline.output, output_path=tmp_path / "window")
    assert result.exit_code == 0, result.message
    notes = result.document("statistics.json")["notes"]
    assert [note.partition(":")[0] for note in notes] == ["No label is positive", "No prediction is positive"]


def test_groups_that_select_nobody_or_everybody_are_noted(tmp_path: Path) -> None:
    facets = [
        {"name_or_index": "sex", "value_or_threshold": ["F", "W"]},
        {"name_or_index": "sex", "value_or_threshold": ["F"]},
        {"name_or_index": "sex", "value_or_threshold": ["f", "m"]},
        {"name_or_index": "age", "value_or_threshold": [69]},
        {"name_or_index": "sex"},
    ]
    result = bias(tmp_path, rows(200, plain), {"facet": facets})
    assert result.exit_code == 0, result.message
    notes = result.document("statistics.json")["notes"]
    expected = [
        ("No row", "sex = F,W", "'sex' holds 'f', 'm'; did you mean 'f'"),
        ("No row", "sex = F", "'sex' holds 'f', 'm'; did you mean 'f'"),
        ("Every row", "sex = f,m", "no others to compare"),
        ("No row", "age = (69, 69]", "'age' goes from 20 to 69"),
    ]
    for note, (rows_of, group, why) in zip(notes, expected, strict=True):
        assert note.startswith(f"{rows_of} is of the group {group}: ")
        assert why in note


@pytest.mark.parametrize("rules", RULES)
def test_a_baseline_without_a_metric_is_refused(tmp_path: Path, rules: str) -> None:
    methods = {"pre_training_bias": {"methods": ["DPL"]}, "post_training_bias": {"methods": ["DPPL"]}}
    change = {"facet": [{"name_or_index": "sex", "value_or_threshold": ["f", "m"]}], "methods": methods}
    result = bias(tmp_path, rows(200, plain), change, rules=rules)
    assert result.exit_code == 2
    if rules == "sagemaker":
        assert says(result.message, "no_baseline.no_bias")
    else:
        assert "Every row is of the group sex = f,m: there are no others" in result.message


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize(
    ("value", "error"), [("x", "Facet set is empty"), ("f", "Negated facet set is empty")]
)
def test_an_empty_group(tmp_path: Path, rules: str, value: str, error: str) -> None:
    data = rows(200, plain if value == "x" else lambda number: "f" + plain(number)[1:])
    facet = {"name_or_index": "sex", "value_or_threshold": [value]}
    result = bias(tmp_path, data, {"facet": [facet]}, rules=rules)
    if rules == "sound":
        assert result.exit_code == 2
        why = {"x": "No row is of the group sex = x: 'sex' holds", "f": "Every row is of the group sex = f"}
        assert why[value] in result.message
        return
    assert result.exit_code == 0, result.message
    found = metrics(result, "post")["DI"]
    assert (found["value"], found["error"]) == (None, error)


def test_a_facet_that_is_the_label(tmp_path: Path) -> None:
    facet = {"name_or_index": "y", "value_or_threshold": [1]}
    result = bias(tmp_path, rows(200, plain), {"facet": [facet]})
    assert result.exit_code == 2
    assert says(result.message, "column.not_groups", field="facet[0].name_or_index", column="y")
    assert bias(tmp_path, rows(200, plain), {"facet": [facet]}, rules="sagemaker").exit_code == 0


@pytest.mark.parametrize("column", ["y", "p"])
def test_strata_that_are_an_outcome(tmp_path: Path, column: str) -> None:
    facet = {"name_or_index": "sex", "value_or_threshold": ["f"]}
    asked = {"facet": [facet], "group_variable": column, "predicted_label": "p"}
    result = bias(tmp_path, rows(200, plain), asked)
    assert result.exit_code == 2
    assert says(result.message, "column.not_groups", field="group_variable", column=column)
    other = {"facet": [facet], "group_variable": "sex"}
    assert bias(tmp_path, rows(200, plain), other).exit_code == 0


def test_a_facet_that_is_given_twice(tmp_path: Path) -> None:
    by_name = {"name_or_index": "sex", "value_or_threshold": ["f", "m"]}
    by_place = {"name_or_index": 0, "value_or_threshold": ["m", "f"]}
    other = {"name_or_index": "sex", "value_or_threshold": ["f"]}
    data = rows(200, plain)
    twice = bias(tmp_path, data, {"facet": [other, by_name, by_place]})
    assert twice.exit_code == 2
    assert says(twice.message, "column.facet_again", field="facet[2].name_or_index", other="facet[1]")


def test_columns_that_are_left_out_and_not_there_are_named_without_a_model(tmp_path: Path) -> None:
    result = bias(tmp_path, rows(200, plain), {"excluded_columns": ["sexx"], "joinsource_name_or_index": 99})
    assert result.exit_code == 0
    said = result.document("statistics.json")["reading"]["columns"]
    assert says(said, "column.absent", field="excluded_columns[0]", column="sexx")
    assert says(said, "column.beyond", field="joinsource_name_or_index", position=99)


def scored(folder: Path, scores: Any, config: dict[str, Any], **variables: Any) -> Result:
    """Run a job on records whose scores are a list, or a text."""
    records = [
        {"x": [number], "sex": "fm"[number % 2], "y": "ab"[number % 3 % 2], "s": scores}
        for number in range(200)
    ]
    data = "".join(json.dumps(record) + "\n" for record in records)
    change = {"dataset_type": "application/jsonlines", "predicted_label": None, "methods": None}
    change["label_values_or_threshold"] = ["a"]
    return bias(folder, data, {**change, **config}, probability_attribute="s", **variables)


def test_lists_of_scores_say_how_they_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = scored(tmp_path, [0.2, 0.8], {})
    assert result.exit_code == 2
    hint = " as one column: its members are s.0, s.1"
    assert says(result.message, "column.absent", field="probability_attribute", column="s", hint=hint)
    assert not said([capsys.readouterr().err], "bias_configuration.only_data")
    nested = {"features": "[x[0], sex]", "headers": ["x", "sex", "y"]}
    result = scored(tmp_path, [0.2, 0.8], nested)
    assert says(result.message, "column_paths.uneven", values="2 values")
    assert says(result.message, "column_paths.one_score", path="s")
    result = scored(tmp_path, "[0.2,0.8]", {})
    role = {"field": "probability_attribute", "column": "s", "kind": "number"}
    assert says(result.message, "bias_request.empty", **role)


def test_classes_in_other_words_than_the_labels_asked_for(tmp_path: Path) -> None:
    nested = {"features": "[x[0], sex]", "headers": ["x", "sex", "y"]}
    classes = {**nested, "predictor": {"label_headers": ["A", "b", "c"]}}
    result = scored(tmp_path, [0.2, 0.7, 0.1], classes)
    assert result.exit_code == 2
    named = {"field": "label_values_or_threshold", "values": "'a'", "classes": "'A', 'b', 'c'"}
    assert says(result.message, "column.no_class", **named)
    classes["predictor"]["label_headers"][0] = "a"
    assert scored(tmp_path, [0.7, 0.2, 0.1], classes).exit_code == 0


@pytest.mark.parametrize("guess", [0, 1])
def test_all_predictions_equal(tmp_path: Path, guess: int) -> None:
    result = bias(tmp_path, rows(200, lambda number: plain(number)[:-1] + str(guess)))
    assert result.exit_code == 0, result.message
    assert metrics(result, "post")["DPPL"]["value"] == 0.0


def test_a_baseline_beyond_four_fifths_says_so_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = rows(400, lambda number: f"{'fm'[number % 2]},{number},{number // 2 % 2},{number % 2}")
    result = bias(tmp_path, data, log_level="WARNING")
    assert result.exit_code == 0, result.message
    assert capsys.readouterr().err.count("below 0.8, the four-fifths line") == 1


def test_missing_labels_are_left_out_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = rows(
        200, lambda number: f"{'fm'[number % 2]},{number},{'' if number % 4 == 0 else number % 3 % 2},1"
    )
    result = bias(tmp_path, data, log_level="WARNING")
    assert result.exit_code == 0, result.message
    (note,) = result.document("statistics.json")["notes"]
    assert note.startswith("50 rows lack a label")
    assert note in capsys.readouterr().err


def test_metrics_before_training_need_no_prediction(tmp_path: Path) -> None:
    """Rows without a prediction change nothing before training: values, intervals, words or decisions."""

    def line(number: int, *, is_whole: bool) -> str:
        drawn = random.Random(number)  # rows that depend on each other would widen all intervals alike
        sex, label, predicted = drawn.choice("fmm"), drawn.randrange(2), drawn.randrange(2)
        return f"{sex},{number},{label},{predicted if is_whole or number % 3 else ''}"

    whole = rows(400, lambda number: line(number, is_whole=True))
    holes = rows(400, lambda number: line(number, is_whole=False))
    allowed = {"facet": [{"name_or_index": "sex", "value_or_threshold": ["f"]}], "group_variable": "age"}
    results = []
    for name, data in (("whole", whole), ("holes", holes)):
        (tmp_path / name).mkdir()
        results.append(bias(tmp_path / name, data, allowed))
        assert results[-1].exit_code == 0, results[-1].message
    assert metrics(results[0], "pre") == metrics(results[1], "pre")
    assert metrics(results[0], "post") != metrics(results[1], "post")
    (facet,) = results[1].document("statistics.json")["facets"]
    assert (sum_of(facet["counts"]), sum_of(facet["unpredicted"])) == (266, 134)
    baseline = results[0].output / "constraints.json"
    document = json.loads(baseline.read_text())
    (group,) = document["pre_training_bias_metrics"]["facets"]["sex"]
    for metric in group["metrics"]:
        metric["threshold"] = 0.001
    baseline.write_text(json.dumps(document))
    decided = []
    for name, data in (("whole", whole), ("holes", holes)):
        output = tmp_path / name / "window"
        window = bias(tmp_path / name, data, allowed, baseline_constraints=baseline, output_path=output)
        comparisons = window.document("comparisons.json")["comparisons"]
        before = (" CI", " DPL", " KL", " JS", " KS", " LP", " TVD")
        decided.append([one for one in comparisons if f" {one['subject'].split(' ')[0]}" in before])
        texts = [one["description"] for one in window.violations if one["metric_name"] in ("CI", "DPL")]
        decided[-1].append(texts)
    assert decided[0] == decided[1]
    assert decided[0][-1]
    assert any(
        "lack a prediction and are left out of post" in n
        for n in results[1].document("statistics.json")["notes"]
    )


def sum_of(table: Any) -> int:
    return sum(map(sum_of, table)) if isinstance(table, list) else table


@pytest.mark.parametrize("number", ["{age}", "{age}.5"])
def test_several_numbers_of_a_facet_are_values(tmp_path: Path, number: str) -> None:
    data = rows(200, lambda n: plain(n).replace(f",{20 + n % 50},", f",{number.format(age=20 + n % 50)},"))
    facet = {"facet": [{"name_or_index": "age", "value_or_threshold": [40, 60]}]}
    result = bias(tmp_path, data, facet)
    said = result.message if result.exit_code else str(result.document("statistics.json")["notes"])
    assert "Several numbers are values that 'age' may have, here 40,60, and no thresholds" in said
    assert result.exit_code == (2 if number.endswith(".5") else 0)
    single = bias(tmp_path, data, {"facet": [{"name_or_index": "age", "value_or_threshold": [40]}]})
    assert not any("Several numbers" in note for note in single.document("statistics.json").get("notes", []))


@pytest.mark.parametrize("count", [8, 200])
def test_scores_named_as_labels_are_refused(tmp_path: Path, count: int) -> None:
    result = bias(tmp_path, rows(count, lambda n: f"{'fm'[n % 2]},{n},{n % 3 % 2},0.{n % 97 + 1:02d}"))
    assert result.exit_code == 2
    assert "give the column as probability_attribute" in result.message


def test_no_label_at_all(tmp_path: Path) -> None:
    result = bias(tmp_path, rows(200, lambda number: f"{'fm'[number % 2]},{number},,1"))
    assert result.exit_code == 2
    assert "label 'y' holds no value in any row" in result.message


def test_tables_of_40_rows_keep_the_group_that_is_listed(tmp_path: Path) -> None:
    data = rows(40, lambda number: f"{number % 4 // 3},{number},{number % 3 % 2},{number % 5 % 2}")
    result = bias(tmp_path, data, {"facet": [{"name_or_index": "sex", "value_or_threshold": [0]}]})
    assert result.exit_code == 0, result.message
    # 30 of 40 rows are in the group, so the rest is smaller.
    assert metrics(result, "pre")["CI"]["value"] == pytest.approx(-0.5)


def test_ten_thousand_values_of_a_facet(tmp_path: Path) -> None:
    data = rows(10_000, lambda number: f"g{number},{number},{number % 3 % 2},{number % 2}")
    result = bias(tmp_path, data, {"facet": [{"name_or_index": "sex"}]})
    assert result.exit_code == 2
    assert (
        "facet 'sex' has 10,000 distinct values, more than the 100 that are compared in turn"
        in result.message
    )
    original = bias(tmp_path, data, {"facet": [{"name_or_index": "sex"}]}, rules="sagemaker")
    assert original.exit_code == 2
    assert "'sex' has 10,000 distinct values, too many to compare in turn; list those" in original.message
    listed = bias(tmp_path, data, {"facet": [{"name_or_index": "sex", "value_or_threshold": ["g1", "g2"]}]})
    assert listed.exit_code == 0, listed.message


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("data", ["", "sex,age,y,p\n"])
def test_no_rows(tmp_path: Path, rules: str, data: str) -> None:
    result = bias(tmp_path, data, rules=rules)
    assert result.exit_code == 2
    assert "but a baseline needs data" in result.message


def test_a_window_without_rows_is_a_completed_job(tmp_path: Path) -> None:
    baseline = bias(tmp_path, rows(200, plain))
    assert baseline.exit_code == 0, baseline.message
    output = tmp_path / "window"
    result = bias(tmp_path, "sex,age,y,p\n", baseline_constraints=baseline.output, output_path=output)
    assert result.exit_code == 0, result.message
    assert "nothing could be decided, because there are no rows" in result.message


@pytest.mark.parametrize("text", ['{"version":"1.0"}', '{"features":[]}', "[]", "{"])
def test_a_baseline_of_another_kind(tmp_path: Path, text: str) -> None:
    (tmp_path / "constraints.json").write_text(text, encoding="utf-8")
    result = bias(tmp_path, rows(200, plain), baseline_constraints=tmp_path / "constraints.json")
    assert result.exit_code == 2
    assert "constraints.json" in result.message


def test_settings_of_other_commands_and_misspelt_ones(tmp_path: Path) -> None:
    result = bias(tmp_path, rows(200, plain), analysis_confg="x")
    assert result.exit_code == 2
    assert says(result.message, "setting.near_miss", field="analysis_confg", meant="analysis_config")
    result = bias(tmp_path, rows(200, plain), analysis_type="DATA_QUALITY")
    assert result.exit_code == 2
    assert "use the image made for it" in result.message


def damaged(number: int, folder: Path) -> dict[str, Any]:
    """Write data and configuration, one of them damaged at random; return the job's variables."""
    generator = random.Random(number)
    rows = [{"features": [n, n % 2, n / 4], "label": n % 3 % 2, "guess": n % 5 % 2} for n in range(30)]
    config = {**CONFIG, "headers": ["n", "sex", "x", "y", "p"], "label": "label", "predicted_label": "guess"}
    config |= {"dataset_type": "application/jsonlines", "features": "features"}
    config["facet"] = [{"name_or_index": "sex", "value_or_threshold": [0]}]
    variables: dict[str, Any] = {}
    lines: list[dict[str, Any]] = rows
    if number % 3 == 0:
        for member in ("dataset_type", "features", "predicted_label", "methods"):
            del config[member]
        config["headers"] = ["n", "sex", "x", "y"]
        lines = [captured(row, number % 2 == 0) for row in rows]
        variables = {"inference_attribute": "guess" if number % 2 else "0", "dataset_format": None}
        variables |= {"features_attribute": "features"} if number % 2 else {}
    if number % 4 == 0:
        (folder / "analysis_config.json").write_bytes(json_bytes(damage_tree(config, generator)))
    else:
        (folder / "analysis_config.json").write_bytes(json_bytes(config))
        hurt = [damage_tree(line, generator) if generator.random() < 0.1 else line for line in lines]
        lines = hurt
    data = b"\n".join(json_bytes(line) for line in lines)
    (folder / "d.jsonl").write_bytes(damage(data, generator) if number % 5 == 0 else data)
    return variables


def captured(row: dict[str, Any], csv: bool) -> dict[str, Any]:
    cells = ",".join(map(str, row["features"]))
    texts = {
        "endpointInput": cells if csv else json.dumps({"features": row["features"]}),
        "endpointOutput": str(row["guess"]) if csv else json.dumps({"guess": row["guess"]}),
    }
    encoding = "CSV" if csv else "JSON"
    truth = {"data": str(row["label"]) if csv else json.dumps({"label": row["label"]}), "encoding": encoding}
    return {
        "captureData": {side: {"data": text, "encoding": encoding} for side, text in texts.items()},
        "groundTruthData": truth,
        "eventMetadata": {"eventId": "1"},
        "eventVersion": "0",
    }


@pytest.mark.parametrize("number", range(60))
def test_damaged_data_and_configurations_end_in_a_result_or_a_cause(tmp_path: Path, number: int) -> None:
    variables = {"analysis_config": tmp_path, "dataset_format": None, **damaged(number, tmp_path)}
    rules = RULES[number % 2]
    result = run_job(tmp_path, tmp_path / "d.jsonl", command=monitor_bias, rules=rules, **variables)
    assert result.exit_code in (0, 2), result.message
    assert "Internal error" not in result.message
    for name in (name for name in result.files if name.endswith(".json")):
        json.loads((result.output / name).read_text(encoding="utf-8"), parse_constant=pytest.fail)
