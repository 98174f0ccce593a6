"""Bias jobs end to end: Clarify's job definitions, its files, and its decisions."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from fixtures import fixture
from models.model_files import category_models, own_answers
from models.model_server import Answer, Request, serving
from run_jobs import Result, run_job
from sentences import says

from containers.bias.main import main as monitor_bias

HEADERS = [
    *("Age", "Workclass", "fnlwgt", "Education", "Education-Num", "Marital Status", "Occupation"),
    *("Relationship", "Ethnic group", "Sex", "Capital Gain", "Capital Loss", "Hours per week", "Country"),
    "Target",
]
ADULT: dict[str, Any] = {
    "headers": HEADERS,
    "label_values_or_threshold": [1],
    "facet": [{"name_or_index": "Sex", "value_or_threshold": [0]}],
    "group_variable": "Age",
}
ALL = {"pre_training_bias": {"methods": "all"}, "post_training_bias": {"methods": "all"}}
DOCUMENT = {
    **ADULT,
    "dataset_type": "application/json",
    "features": "instances[*].features",
    "label": "instances[*].label",
    "predicted_label": "predicted_label",
    "methods": ALL,
}
RULES = ("sound", "sagemaker")


def bias(folder: Path, source: Path | None, config: dict[str, Any], **variables: Any) -> Result:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "analysis_config.json").write_text(json.dumps(config), encoding="utf-8")
    variables = {"analysis_config": folder, "dataset_format": None, **variables}
    return run_job(folder, source, command=monitor_bias, **variables)


def metrics(analysis: dict[str, Any]) -> dict[tuple[str, str, str, str], Any]:
    """Return every metric's value by stage, facet, value and name; infinities as text."""
    return {
        (stage, facet, value["value_or_threshold"], metric["name"]): metric["value"]
        for stage in ("pre_training_bias_metrics", "post_training_bias_metrics")
        if stage in analysis
        for facet, values in analysis[stage]["facets"].items()
        for value in values
        for metric in value["metrics"]
    }


@pytest.fixture(scope="module")
def adult_baseline(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """A baseline job from the rows and predictions of a real one."""
    predictions = fixture("clarify/adult_json/validation_predictions.json")
    config = {**DOCUMENT, "predicted_label_dataset_uri": str(predictions)}
    source = fixture("clarify/adult_json/validation-dataset.json")
    return bias(tmp_path_factory.mktemp("adult"), source, config, rules="sagemaker")


def recorded(name: str) -> dict[str, Any]:
    return json.loads(fixture(f"clarify/aws_notebook_outputs/{name}.json").read_text(encoding="utf-8"))


def test_the_adult_baseline_is_that_of_the_real_job(adult_baseline: Result) -> None:
    assert adult_baseline.exit_code == 0, adult_baseline.message
    expected = recorded("bias_endpoint_json_baseline_analysis")
    found = adult_baseline.document("analysis.json")
    assert metrics(found) == pytest.approx(metrics(expected), rel=0, abs=1e-12)
    assert without_values(found) == without_values(expected)


def test_the_same_rows_do_not_drift_from_the_real_baseline(tmp_path: Path) -> None:
    predictions = fixture("clarify/adult_json/validation_predictions.json")
    result = bias(
        tmp_path,
        fixture("clarify/adult_json/validation-dataset.json"),
        {**DOCUMENT, "predicted_label_dataset_uri": str(predictions)},
        rules="sagemaker",
        baseline_constraints=fixture(
            "clarify/aws_notebook_outputs/bias_endpoint_json_baseline_analysis.json"
        ),
    )
    assert result.exit_code == 0, result.message
    assert result.document("constraint_violations.json")["violations"] == []


def without_values(value: Any) -> Any:
    """Return a document with `null` in place of every metric's value."""
    if isinstance(value, dict):
        return {key: None if key == "value" else without_values(member) for key, member in value.items()}
    return [without_values(member) for member in value] if isinstance(value, list) else value


@pytest.mark.parametrize("rules", RULES)
def test_json_lines_and_csv_give_the_same_baseline(tmp_path: Path, rules: str) -> None:
    document = json.loads(fixture("clarify/adult_json/validation-dataset.json").read_text(encoding="utf-8"))
    predictions = json.loads(
        fixture("clarify/adult_json/validation_predictions.json").read_text(encoding="utf-8")
    )
    rows = [
        (instance["features"], instance["label"], guess)
        for instance, guess in zip(document["instances"], predictions["predicted_label"], strict=True)
    ]
    lines = [json.dumps({"x": features, "y": label, "p": guess}) for features, label, guess in rows]
    (tmp_path / "d.jsonl").write_text("\n".join(lines), encoding="utf-8")
    config = {**ADULT, "dataset_type": "application/jsonlines", "methods": ALL}
    nested = bias(
        tmp_path / "nested",
        tmp_path / "d.jsonl",
        {**config, "features": "x", "label": "y", "predicted_label": "p", "headers": [*HEADERS, "Guess"]},
        rules=rules,
    )
    assert nested.exit_code == 0, nested.message
    cells = [",".join(map(str, [*features, label, guess])) for features, label, guess in rows]
    (tmp_path / "d.csv").write_text("\n".join([",".join([*HEADERS, "Guess"]), *cells]), encoding="utf-8")
    config = {**config, "dataset_type": "text/csv", "label": "Target", "predicted_label": "Guess"}
    del config["headers"]
    table = bias(tmp_path / "table", tmp_path / "d.csv", config, rules=rules)
    assert table.exit_code == 0, table.message
    assert metrics(table.document("analysis.json")) == metrics(nested.document("analysis.json"))
    expected = recorded("bias_endpoint_json_baseline_analysis")
    assert metrics(table.document("analysis.json")) == pytest.approx(metrics(expected), rel=0, abs=1e-12)


def merged(folder: Path, name: str, copies: int) -> Path:
    record = json.dumps(recorded(name))
    source = folder / "merge" / "loans" / "AllTraffic" / "2024" / "01" / "19" / "20"
    source.mkdir(parents=True)
    (source / "part-0.jsonl").write_text((record + "\n") * copies, encoding="utf-8")
    return folder / "merge"


def monitoring(folder: Path, name: str, copies: int, prediction: str) -> Result:
    result = bias(
        folder,
        merged(folder, f"bias_{name}_json_merged_record", copies),
        {**ADULT, "label": "instances[*].label"},
        rules="sagemaker",
        baseline_constraints=fixture(f"clarify/aws_notebook_outputs/bias_{name}_json_baseline_analysis.json"),
        features_attribute="instances[*].features",
        inference_attribute=prediction,
        dataset_format='{"sagemakerMergeJson":{"captureIndexNames":["endpointInput","endpointOutput"]}}',
    )
    assert result.exit_code == 0, result.message
    return result


def test_a_monitoring_job_decides_as_the_real_one(tmp_path: Path) -> None:
    result = monitoring(tmp_path, "endpoint", 10, "predictions[*].predicted_label")
    cases = json.loads(fixture("clarify/bias_drift_aws_cases.json").read_text(encoding="utf-8"))["cases"]
    case = next(case for case in cases if case["name"] == "endpoint_json")
    assert [violation["metric_name"] for violation in result.violations] == case["violated_metrics"]
    found = result.document("constraint_violations.json")
    for ours, theirs in zip(decided(found), decided(recorded("bias_endpoint_json_violations")), strict=True):
        assert ours[:-1] == theirs[:-1]
        assert ours[-1] == pytest.approx(theirs[-1], rel=1e-12)


def test_batch_output_is_decided_likewise_but_for_the_flip_test(tmp_path: Path) -> None:
    # Of the endpoint's records there were ten copies, which are each other's nearest neighbours.
    result = monitoring(tmp_path, "batch", 1, "SageMakerOutput.predictions[*].predicted_label")
    cases = json.loads(fixture("clarify/bias_drift_aws_cases.json").read_text(encoding="utf-8"))["cases"]
    case = next(case for case in cases if case["name"] == "endpoint_json")
    expected = [name for name in case["violated_metrics"] if name != "FT"]
    assert [violation["metric_name"] for violation in result.violations] == expected


def decided(document: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Return what violations say: who, and the two numbers, up to their last digit."""
    members = ("facet", "facet_value", "metric_name", "constraint_check_type")
    return [
        (*(violation[key] for key in members), numbers(violation["description"]))
        for violation in document["violations"]
    ]


def numbers(description: str) -> list[float]:
    wording = r"Metric value (\S+) doesn't meet the baseline constraint requirement (\S+)$"
    found = re.search(wording, description)
    assert found, description
    return [float(text) for text in found.groups()]


def test_our_own_constraints_are_a_baseline_too(adult_baseline: Result, tmp_path: Path) -> None:
    source = fixture("clarify/adult_json/validation-dataset.json")
    predictions = fixture("clarify/adult_json/validation_predictions.json")
    config = {**DOCUMENT, "predicted_label_dataset_uri": str(predictions)}
    for rules in RULES:
        result = bias(
            tmp_path / rules,
            source,
            config,
            rules=rules,
            baseline_constraints=adult_baseline.output,
            fail_on_violations="true",
        )
        assert result.exit_code == 0, result.message
        assert result.violations == []


def test_predictions_in_a_file_of_their_own(tmp_path: Path) -> None:
    rows = [(sex, int(sex == "m" or at % 3 == 0), at) for at in range(60) for sex in "fm"]
    data, answers = tmp_path / "d.csv", tmp_path / "p.csv"
    data.write_text("sex,y\n" + "".join(f"{sex},{y}\n" for sex, y, _ in rows), encoding="utf-8")
    answers.write_text("id,p\n" + "".join(f"{at},{y}\n" for _, y, at in rows), encoding="utf-8")
    config = {
        "dataset_type": "text/csv",
        "label": "y",
        "label_values_or_threshold": [1],
        "facet": [{"name_or_index": "sex", "value_or_threshold": ["f"]}],
        "predicted_label_dataset_uri": str(answers),
    }
    result = bias(tmp_path / "1", data, config)
    assert result.exit_code == 2
    assert f"predicted_label_dataset_uri {answers} has the columns 'id', 'p'; name the one" in result.message
    result = bias(tmp_path / "2", data, {**config, "predicted_label": "p"})
    assert result.exit_code == 0, result.message
    # Neither file lacks the other's columns.
    assert "columns" not in result.document("statistics.json").get("reading", {})


def test_a_clarify_job_definition_needs_no_variable(tmp_path: Path) -> None:
    from containers.bias.main import MONITOR

    folders = {name: tmp_path / name for name in ("config", "data", "output")}
    for folder in folders.values():
        folder.mkdir()
    (folders["data"] / "d.csv").write_text("sex,y\n" + "f,1\nf,0\nm,1\nm,1\n" * 20, encoding="utf-8")
    config = {
        "dataset_type": "text/csv",
        "label": "y",
        "label_values_or_threshold": [1],
        "facet": [{"name_or_index": "sex", "value_or_threshold": ["f"]}],
        "methods": {
            "pre_training_bias": {"methods": "all"},
            "report": {"name": "report", "title": "Analysis Report"},
        },
    }
    defaults = {variable.name: MONITOR.default_of(variable) for variable in MONITOR.variables}
    assert defaults["analysis_config"] == "/opt/ml/processing/input/config"
    assert defaults["dataset_source"] == "/opt/ml/processing/input/data"
    assert defaults["output_path"] == "/opt/ml/processing/output"
    result = bias(folders["config"], folders["data"], config, output_path=folders["output"])
    assert result.exit_code == 0, result.message
    assert "analysis.json" in result.files
    value = metrics(result.document("analysis.json"))[("pre_training_bias_metrics", "sex", "f", "DPL")]
    assert value == pytest.approx(0.5)


@pytest.mark.parametrize("name", ["age group", "age", None])
def test_segments_are_analysed_each_by_itself(tmp_path: Path, name: str | None) -> None:
    rows = "".join(
        f"{sex},{age},{int(sex == 'm' or age > 40)}\n"
        for age in (25, 30, 50)
        for sex in "fm"
        for _ in range(40)
    )
    (tmp_path / "d.csv").write_text("sex,age,y\n" + rows, encoding="utf-8")
    config = {
        "dataset_type": "text/csv",
        "label": "y",
        "label_values_or_threshold": [1],
        "facet": [{"name_or_index": "sex", "value_or_threshold": ["f"]}],
        "segment_config": [{"config_name": name, "name_or_index": "age", "segments": [["[18, 30]"]]}],
        "methods": {"pre_training_bias": {"methods": ["DPL"]}},
    }
    result = bias(tmp_path, tmp_path / "d.csv", config)
    assert result.exit_code == 0, result.message
    segments = result.document("statistics.json")["segments"]
    assert [segment["item_count"] for segment in segments] == [160, 80]
    said = result.document("statistics.json")["reading"]["segments"]
    assert said == ["80 rows are in no segment of age, and form __default__"]


def test_validation_reads_configuration_and_first_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "d.csv").write_text("sex,y\n" + "f,1\nm,0\n" * 20, encoding="utf-8")
    config = {
        "dataset_type": "text/csv",
        "label": "y",
        "label_values_or_threshold": [1],
        "facet": [{"name_or_index": "sx", "value_or_threshold": ["f"]}],
    }
    (tmp_path / "analysis_config.json").write_text(json.dumps(config), encoding="utf-8")
    flags = ["--validate", f"--dataset-source={tmp_path / 'd.csv'}", f"--analysis-config={tmp_path}"]
    flags.append(f"--output-message-file={tmp_path / 'message'}")
    flags.append('--dataset-format={"csv":{}}')
    assert monitor_bias(flags) == 2
    column = {"field": "facet[0].name_or_index", "column": "sx", "hint": ": did you mean sex?"}
    assert says(capsys.readouterr().out, "column.absent", **column)
    config["facet"] = [{"name_or_index": "sex", "value_or_threshold": ["f"]}]
    (tmp_path / "analysis_config.json").write_text(json.dumps(config), encoding="utf-8")
    assert monitor_bias(flags) == 0
    out = capsys.readouterr().out
    assert "the first 40 rows have columns sex (text), y (int64)" in out
    assert says(out, "bias_notes.tried", label="y", positive="1", groups="sex = f (20 rows)")


LOANS: dict[str, Any] = {
    "dataset_type": "text/csv",
    "label": "y",
    "label_values_or_threshold": [1],
    "facet": [{"name_or_index": "sex", "value_or_threshold": [0]}],
    "excluded_columns": ["id"],
    "methods": ALL,
}


def loans(folder: Path, *, predicted: bool) -> Path:
    """Write a table whose model says yes to incomes above 50, which women have less often."""
    rows = [(number, number % 2, (number * 7) % (80 if number % 2 else 60)) for number in range(400)]
    header = "id,sex,income,y" + ",p" * predicted
    lines = [
        f"{n},{sex},{income},{int(income > 40)}" + f",{int(income > 50)}" * predicted
        for n, sex, income in rows
    ]
    path = folder / ("predicted.csv" if predicted else "d.csv")
    path.write_text("\n".join([header, *lines, ""]), encoding="utf-8")
    return path


@pytest.mark.parametrize("answers", ["scores", "labels"])
def test_a_model_is_asked_where_there_are_no_predictions(tmp_path: Path, answers: str) -> None:
    def predict(request: Request) -> Answer:
        incomes = [float(income) for _, income in request.rows()]
        scores = [income / 100 if answers == "scores" else int(income > 50) for income in incomes]
        return Answer("\n".join(map(str, scores)), headers={"Content-Type": "text/csv"})

    predictor = {"content_type": "text/csv", **({"label": 0} if answers == "labels" else {})}
    with serving(predict) as server:
        config = {**LOANS, "predictor": predictor}
        asked = bias(tmp_path / "asked", loans(tmp_path, predicted=False), config, model=server.url)
    assert asked.exit_code == 0, asked.message
    config = {**LOANS, "predicted_label": "p"}
    given = bias(tmp_path / "given", loans(tmp_path, predicted=True), config)
    expected = metrics(given.document("analysis.json"))
    assert metrics(asked.document("analysis.json")) == expected


@pytest.mark.parametrize("name", ["model.txt", "model.json"])
def test_a_model_file_is_asked_about_its_categories(tmp_path: Path, name: str) -> None:
    frame, boosters = category_models(tmp_path)
    frame = frame.assign(label=(frame.x > 0).astype(int), group=(frame.x * 100 % 2 > 1).astype(int))
    config = {
        "dataset_type": "text/csv",
        "label": "label",
        "label_values_or_threshold": [1],
        "facet": [{"name_or_index": "group", "value_or_threshold": [1]}],
        "methods": ALL,
    }
    # XGBoost's is a number there: the texts of to_csv are refused.
    written = frame if name == "model.txt" else frame.astype({"member": int})
    written.to_csv(tmp_path / "data.csv", index=False)
    asked_config = {**config, "predictor": {"content_type": "text/csv"}, "probability_threshold": 0.8}
    asked = bias(tmp_path / "asked", tmp_path / "data.csv", asked_config, model=tmp_path / name)
    assert asked.exit_code == 0, asked.message
    answers = own_answers(name, boosters[name], frame[list(frame.columns[:5])])
    frame.assign(p=(answers > 0.8).astype(int)).to_csv(tmp_path / "given.csv", index=False)
    given = bias(tmp_path / "given", tmp_path / "given.csv", {**config, "predicted_label": "p"})
    assert metrics(asked.document("analysis.json")) == metrics(given.document("analysis.json"))


def test_labels_are_joined_with_captures_while_reading(tmp_path: Path) -> None:
    captures, labels = [], []
    for number in range(60):
        sex, income = number % 2, (number * 7) % 80
        parts = {"endpointInput": f"{sex},{income}", "endpointOutput": str(income / 100)}
        metadata = {"eventId": str(number), "inferenceTime": "2026-05-06T22:10:00Z"}
        captured = {side: {"data": data, "encoding": "CSV"} for side, data in parts.items()}
        captures.append({"captureData": captured, "eventMetadata": metadata, "eventVersion": "0"})
        truth = {"data": str(int(income > 40)), "encoding": "CSV"}
        labels.append({"groundTruthData": truth, "eventMetadata": metadata, "eventVersion": "0"})
    for name, records in (("captures", captures), ("labels", labels)):
        folder = tmp_path / name / "2026" / "05" / "06" / "22"
        folder.mkdir(parents=True)
        text = "\n".join(map(json.dumps, records)) + "\n"
        (folder / "a.jsonl").write_text(text, encoding="utf-8")
    config = {key: LOANS[key] for key in ("label", "label_values_or_threshold", "facet")}
    result = bias(
        tmp_path,
        tmp_path / "captures",
        {**config, "headers": ["sex", "income", "y"]},
        dataset_format='{"sagemakerCaptureJson":{}}',
        ground_truth_source=tmp_path / "labels",
        probability_attribute="0",
        probability_threshold_attribute="0.3",
        start_time="2026-05-06T22:00:00Z",
        end_time="2026-05-06T23:00:00Z",
    )
    assert result.exit_code == 0, result.message
    found = metrics(result.document("analysis.json"))
    assert len(found) == 21
    assert result.document("analysis.json")["pre_training_bias_metrics"]["label"] == "y"
    positive = [(number % 2, (number * 7) % 80 > 30) for number in range(60)]
    shares = [sum(yes for sex, yes in positive if sex == group) / 30 for group in (0, 1)]
    assert found[("post_training_bias_metrics", "sex", "0", "DI")] == pytest.approx(shares[0] / shares[1])


@pytest.mark.parametrize(("every", "violated"), [(4, True), (1_000, False)])
def test_rows_that_lack_something_are_compared_with_the_baseline(
    tmp_path: Path, every: int, violated: bool
) -> None:
    config = {**LOANS, "predicted_label": "p", "methods": {"post_training_bias": {"methods": ["DPPL"]}}}

    def table(file: Path, lacking: int) -> Path:
        predictions = ["" if lacking and row % lacking == 0 else int(row % 3 < 1) for row in range(4_000)]
        rows = (
            f"{row % 2},{row % 7},{int(row % 5 < 2)},{prediction}"
            for row, prediction in enumerate(predictions)
        )
        file.write_text("sex,income,y,p\n" + "\n".join(rows) + "\n", encoding="utf-8")
        return file

    (tmp_path / "a").mkdir()
    baseline = bias(tmp_path / "a", table(tmp_path / "first.csv", 0), config)
    assert baseline.exit_code == 0, baseline.message
    result = bias(
        tmp_path,
        table(tmp_path / "second.csv", every),
        config,
        baseline_constraints=baseline.output / "constraints.json",
        baseline_statistics=baseline.output / "statistics.json",
    )
    assert result.exit_code == 0, result.message
    comparisons = result.document("comparisons.json")["comparisons"]
    (found,) = [one for one in comparisons if one["check"] == "presence_check"]
    assert found["subject"] == "complete_rows of sex *"
    assert (found["state"] == "violated") is violated
    assert ("complete_rows" in {one["metric_name"] for one in result.violations}) is violated


def captured_loans(folder: Path, labelled: int, label: str = "{}") -> dict[str, Any]:
    """Write 4,000 captures and the labels of the first of them; return what a job needs of them."""
    captures, labels = [], []
    for number in range(4_000):
        parts = {"endpointInput": f"{number % 2},{number % 7}", "endpointOutput": str(int(number % 3 < 1))}
        metadata = {"eventId": str(number), "inferenceTime": "2026-05-06T22:10:00Z"}
        captured = {side: {"data": data, "encoding": "CSV"} for side, data in parts.items()}
        captures.append({"captureData": captured, "eventMetadata": metadata, "eventVersion": "0"})
        truth = {"data": label.format(int(number % 5 < 2)), "encoding": "CSV"}
        labels.append({"groundTruthData": truth, "eventMetadata": metadata, "eventVersion": "0"})
    for name, records in (("captures", captures), ("labels", labels[:labelled])):
        (folder / name).mkdir(parents=True)
        text = "\n".join(map(json.dumps, records)) + "\n"
        (folder / name / "a.jsonl").write_text(text, encoding="utf-8")
    settings = {"dataset_format": '{"sagemakerCaptureJson":{}}', "inference_attribute": "0"}
    return {"source": folder / "captures", "ground_truth_source": folder / "labels", **settings}


def test_labels_that_have_not_come_yet_are_no_violation(tmp_path: Path) -> None:
    config = {key: LOANS[key] for key in ("label", "label_values_or_threshold", "facet")}
    config["headers"] = ["sex", "income", "y"]
    first, second = (captured_loans(tmp_path / name, count) for name, count in (("a", 4_000), ("b", 2_000)))
    baseline = bias(tmp_path / "a", first.pop("source"), config, **first)
    assert baseline.exit_code == 0, baseline.message
    result = bias(
        tmp_path / "b",
        second.pop("source"),
        config,
        **second,
        baseline_constraints=baseline.output / "constraints.json",
        baseline_statistics=baseline.output / "statistics.json",
    )
    assert result.violations == []
    assert result.document("statistics.json")["dataset"]["unlabelled_count"] == 2_000
    none = captured_loans(tmp_path / "d", 1)
    (none["ground_truth_source"] / "a.jsonl").write_text("")
    constraints = baseline.output / "constraints.json"
    unlabelled = bias(tmp_path / "d", none.pop("source"), config, **none, baseline_constraints=constraints)
    assert unlabelled.exit_code == 0, unlabelled.message
    cells = captured_loans(tmp_path / "c", 4_000, "{},7")
    several = bias(tmp_path / "c", cells.pop("source"), config, **cells)
    assert several.exit_code == 2
    assert says(several.message, "column_paths.label_cells", field="label")


def test_a_facet_without_any_value_is_a_violation_beside_others(tmp_path: Path) -> None:
    facets = [{"name_or_index": name, "value_or_threshold": [0]} for name in ("sex", "income")]
    config = {**LOANS, "facet": facets, "methods": {"pre_training_bias": {"methods": "all"}}}
    (tmp_path / "a").mkdir()
    rows = [f"{row % 2},{row % 3 % 2},{int(row % 5 < 2)}\n" for row in range(4_000)]
    (tmp_path / "first.csv").write_text("sex,income,y\n" + "".join(rows), encoding="utf-8")
    (tmp_path / "second.csv").write_text(
        "sex,income,y\n" + "".join(row[1:] for row in rows), encoding="utf-8"
    )
    baseline = bias(tmp_path / "a", tmp_path / "first.csv", config)
    result = bias(
        tmp_path,
        tmp_path / "second.csv",
        config,
        baseline_constraints=baseline.output / "constraints.json",
        baseline_statistics=baseline.output / "statistics.json",
    )
    assert [(one["metric_name"], one["facet"]) for one in result.violations] == [("complete_rows", "sex")]


def test_words_where_numbers_are_named_are_refused_with_the_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "loans.csv"
    source.write_text("sex,approved\n" + "f,1\nm,0\nf,0\nm,1\n" * 50, encoding="utf-8")
    config = {
        "dataset_type": "text/csv",
        "label": "approved",
        "label_values_or_threshold": [1],
        "facet": [{"name_or_index": "sex", "value_or_threshold": ["f"]}],
        "methods": {"pre_training_bias": {"methods": "all"}},
    }
    baseline = bias(tmp_path / "baseline", source, config)
    assert baseline.exit_code == 0, baseline.message
    source.write_text("sex,approved\n" + "f,yes\nm,no\nf,no\nm,yes\n" * 50, encoding="utf-8")
    window = bias(tmp_path / "window", source, config, baseline_constraints=baseline.output)
    assert window.exit_code == 2
    assert "'yes', 'no'" in window.message
    flags = ["--validate", f"--dataset-source={source}", f"--analysis-config={tmp_path / 'window'}"]
    assert monitor_bias([*flags, "--dataset-format=csv", f"--output-path={tmp_path}"]) == 2
    assert "'yes', 'no'" in capsys.readouterr().out


def test_scores_that_predicted_labels_make_needless_are_named(tmp_path: Path) -> None:
    lines = [f"{n % 2},{n % 3 == 0:d},{n % 5 == 0:d},{n % 7 / 7:.3f}" for n in range(60)]
    source = tmp_path / "data.csv"
    source.write_text("sex,y,p,score\n" + "\n".join(lines) + "\n", encoding="utf-8")
    config = {
        "label": "y",
        "label_values_or_threshold": [1],
        "facet": [{"name_or_index": "sex", "value_or_threshold": [1]}],
        "predicted_label": "p",
        "methods": ALL,
    }
    csv = '{"csv":{"header":true}}'
    result = bias(tmp_path, source, config, dataset_format=csv, probability_attribute="score")
    reading = json.dumps(result.document("statistics.json")["reading"])
    assert "predictions are p, so the scores in score are not used" in reading


def test_settings_without_effect_are_said(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("sex,y,p\n" + "f,1,0\nm,0,1\n" * 20, encoding="utf-8")
    config = {
        "label": "y",
        "label_values_or_threshold": [1],
        "predicted_label": "p",
        "facet": [{"name_or_index": "sex", "value_or_threshold": ["f"]}],
    }
    idle = {
        "model": "http://127.0.0.1:9/",
        "probability_threshold_attribute": "0.7",
    }
    result = bias(tmp_path, tmp_path / "d.csv", config, dataset_format='{"csv":{}}', **idle)
    assert result.exit_code == 0, result.message
    said = result.document("statistics.json")["reading"]["settings"]
    for name in idle:
        assert says([f"settings: {one}" for one in said], "reading.no_effect", field=name)
    once = {"inference_attribute": "p", "probability_threshold_attribute": "0.7"}
    result = bias(tmp_path / "a", tmp_path / "d.csv", config, dataset_format='{"csv":{}}', **once)
    assert "settings" not in result.document("statistics.json").get("reading", {})  # the log has it
    del config["predicted_label"]
    used = {"probability_attribute": "p", "probability_threshold_attribute": "0.7"}
    result = bias(tmp_path / "b", tmp_path / "d.csv", config, dataset_format='{"csv":{}}', **used)
    assert "settings" not in result.document("statistics.json").get("reading", {})
