"""Whole feature-attribution jobs: tables and captures, endpoints and model files."""

from __future__ import annotations

import itertools
import json
import math
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from attributed_people import (
    BASELINE,
    FEATURES,
    csv_endpoint,
    json_endpoint,
    people,
    score,
    table_config,
    write_captures,
    write_csv,
)
from captures.capture_data import record, write
from fixtures import ROOT
from jobs.attribution_runs import attributions, kinds, run, table
from models.model_files import category_models, own_answers
from models.model_server import Answer, Request, serving
from run_jobs import Result, baseline_of

from containers.feature_attribution import main as command
from containers.feature_attribution import shortcut

FILES = ["analysis.json", "constraints.json", "explanations_shap", "report.html", "statistics.json"]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with serving(csv_endpoint) as server:
        yield server.url


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory, endpoint: str) -> Result:
    folder = tmp_path_factory.mktemp("baseline")
    result = run(folder, write_csv(folder / "data.csv", people(600).rows), table_config(), endpoint)
    assert result.exit_code == 0, result.message
    return result


@pytest.mark.parametrize("form", ["csv", "headers", "jsonl", "parquet"])
def test_a_model_is_asked_in_the_order_of_headers_and_baseline(tmp_path: Path, form: str) -> None:
    def weighed(request: Request) -> Answer:
        return Answer("".join(f"{float(a) + 10 * float(b)!r}\n" for a, b in request.rows()))

    rows = [{"a": 1.0 + number % 7, "b": 20.0 + number % 5} for number in range(60)]
    config = {"dataset_type": "text/csv", "methods": {"shap": {"baseline": [[1, 20]]}}}
    config["predictor"] = {"content_type": "text/csv"}
    first, turned = tmp_path / "1/data", tmp_path / "2/data"
    if form == "jsonl":
        config["dataset_type"] = "application/jsonlines"
        write(first / "a.jsonl", rows)
        write(turned / "a.jsonl", [{"b": row["b"], "a": row["a"]} for row in rows])
    elif form == "parquet":
        config |= {"dataset_type": "application/x-parquet", "headers": ["a", "b"]}
        for folder, names in ((first, ["a", "b"]), (turned, ["b", "a"])):
            folder.mkdir(parents=True)
            pq.write_table(pa.Table.from_pylist(rows).select(names), folder / "a.parquet")
    else:
        config |= {"headers": ["a", "b"]} if form == "headers" else {}
        for folder, names in ((first, "ab"), (turned, "ba")):
            lines = [",".join(names), *(",".join(str(row[name]) for name in names) for row in rows)]
            folder.mkdir(parents=True)
            (folder / "a.csv").write_text("\n".join(lines))
    with serving(weighed) as server:
        before = run(tmp_path / "1", first, config, server.url)
        window = run(tmp_path / "2", turned, config, server.url, **baseline_of(before))
        assert attributions(window) == attributions(before)
        assert kinds(window) == set()
        if "headers" in config:
            assert attributions(run(tmp_path / "3", turned, config, server.url)) == attributions(before)


def test_a_baseline_from_a_table(baseline: Result) -> None:
    assert baseline.files == FILES
    assert attributions(baseline) == pytest.approx(people(600).global_values, abs=1e-9)
    assert table(baseline, "baseline.csv") == [[*FEATURES], ["30", "green", "2"]]
    header, *rows = table(baseline, "out.csv")
    assert header == ["age_label0", "colour_label0", "income_label0"]
    np.testing.assert_allclose(np.array(rows, dtype=float), people(600).local_values, atol=1e-9)
    explained = baseline.document("statistics.json")["explained"]
    assert (explained["rows"], explained["partial"]) == (600, False)


def test_captures_are_explained_with_the_baseline_jobs_rows(
    tmp_path: Path, baseline: Result, endpoint: str
) -> None:
    live = people(500, seed=1)
    captures = write_captures(tmp_path / "captures", live)
    config = {"headers": [*FEATURES], "methods": {"shap": {}}, "predictor": {"content_type": "text/csv"}}
    result = run(tmp_path, captures, config, endpoint, **baseline_of(baseline))
    assert attributions(result) == pytest.approx(live.global_values, abs=1e-9)
    assert result.violations == []
    assert "explanations_shap" in result.files  # baseline.csv alone
    assert not (result.output / "explanations_shap" / "out.csv").exists()
    assert result.document("statistics.json")["notes"] == []


@pytest.mark.parametrize("as_json", [False, True])
def test_captures_without_headers_take_the_baselines_names(
    tmp_path: Path, baseline: Result, endpoint: str, as_json: bool
) -> None:
    live = people(50, seed=12)
    captures = write_captures(tmp_path / "captures", live, as_json=as_json)
    config = {"methods": {"shap": {}}, "predictor": {"content_type": "text/csv"}}
    paths = {"features_attribute": "instances[*].features"} if as_json else {}
    result = run(tmp_path, captures, config, endpoint, **paths, **baseline_of(baseline))
    assert attributions(result) == pytest.approx(live.global_values, abs=1e-9)


@pytest.mark.parametrize("rules", ["sound", "sagemaker"])
def test_drift_is_found_and_can_fail_the_job(
    tmp_path: Path, baseline: Result, endpoint: str, rules: str
) -> None:
    live = people(500, seed=2, age_spread=0.1, income_spread=40.0)
    captures = write_captures(tmp_path / "captures", live)
    config = {"headers": [*FEATURES], "methods": {"shap": {}}, "predictor": {"content_type": "text/csv"}}
    result = run(
        tmp_path,
        captures,
        config,
        endpoint,
        rules=rules,
        fail_on_violations="Enabled",
        publish_cloudwatch_metrics="Enabled",
        cloudwatch_metrics_directory=tmp_path / "metrics",
        **baseline_of(baseline),
    )
    assert result.exit_code == 3, result.message
    wanted = {"feature_attribution_drift_check"}
    assert kinds(result) == wanted | ({"feature_attribution_magnitude_check"} if rules == "sound" else set())
    page = (result.output / "report.html").read_text(encoding="utf-8")
    titles = re.findall(
        r"<h3[^>]*>(.*?)</h3>", page.partition('class="cards"')[2].partition("</ol>")[0], re.S
    )
    assert 0 < len(titles) == len(set(titles))
    shown = re.sub(r"(?s)<script.*?</script>|<ul class=.raw.*?</ul>", "", page)
    assert "label0" not in shown  # there is one answer, so its name says nothing
    assert result.document("constraint_violations.json")["version"] == "1.0"
    lines = (tmp_path / "metrics" / "cloudwatch_metrics.jsonl").read_text(encoding="utf-8").splitlines()
    first = json.loads(lines[0])
    assert first["MetricName"] == "feature_age"
    assert {"Name": "ValueType", "Value": "GlobalShapValues"} in first["Dimensions"]
    assert json.loads(lines[-1])["MetricName"] == "ExpectedValue"


def test_json_captures_and_templates(tmp_path: Path, baseline: Result) -> None:
    live = people(300, seed=3)
    captures = write_captures(tmp_path / "captures", live, as_json=True)
    config = {
        "headers": [*FEATURES],
        "methods": {"shap": {"baseline": {"instances": [{"features": BASELINE}]}}},
        "predictor": {
            "content_type": "application/json",
            "accept_type": "application/json",
            "content_template": '{"instances":$records}',
            "record_template": '{"features":$features}',
            "probability": "predictions[*].score",
        },
    }
    with serving(json_endpoint) as server:
        result = run(
            tmp_path,
            captures,
            config,
            server.url,
            features_attribute="instances[*].features",
            **baseline_of(baseline),
        )
    assert attributions(result) == pytest.approx(live.global_values, abs=1e-9)


def test_columns_that_are_no_features_are_not_sent(tmp_path: Path, endpoint: str) -> None:
    data = people(50, seed=4)
    rows = [["late", f"id-{number}", *row, 7] for number, row in enumerate(data.rows)]
    source = write_csv(tmp_path / "data.csv", rows, ["label", "id", *FEATURES, "extra"])
    config = {
        **table_config(features_to_explain=["income", "age"]),
        "label": "label",
        "joinsource_name_or_index": "id",
        "excluded_columns": [5],
    }
    result = run(tmp_path, source, config, endpoint)
    expected = {name: data.global_values[name] for name in ("age", "income")}
    assert attributions(result) == pytest.approx(expected, abs=1e-9)
    header, *lines = table(result, "out.csv")
    assert header == ["age_label0", "income_label0", "id"]
    assert [line[-1] for line in lines] == [f"id-{number}" for number in range(50)]


def test_several_outputs_have_the_names_of_label_headers(tmp_path: Path) -> None:
    def classes(request: Request) -> Answer:
        return Answer("".join(f"{score(row)!r},{-score(row)!r}\n" for row in request.rows()))

    source = write_csv(tmp_path / "data.csv", people(40, seed=5).rows)
    config = table_config()
    config["predictor"]["label_headers"] = ["late", "punctual"]
    with serving(classes) as server:
        result = run(tmp_path, source, config, server.url)
    assert attributions(result, "late") == pytest.approx(attributions(result, "punctual"))
    assert table(result, "out.csv")[0] == [
        f"{name}_{label}" for label in ("late", "punctual") for name in FEATURES
    ]


def test_without_a_baseline_clusters_of_the_data_stand_for_absent_features(
    tmp_path: Path, endpoint: str
) -> None:
    source = write_csv(tmp_path / "data.csv", people(200, seed=6).rows)
    config = table_config(num_clusters=2)
    del config["methods"]["shap"]["baseline"]
    result = run(tmp_path, source, config, endpoint)
    assert result.exit_code == 0, result.message
    header, *rows = table(result, "baseline.csv")
    assert (header, len(rows)) == ([*FEATURES], 2)


@pytest.mark.parametrize("form", ["csv", "csv without header", "json lines", "parquet"])
def test_baselines_from_files(tmp_path: Path, endpoint: str, form: str) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    file = tmp_path / "rows" / "baseline"
    if form == "parquet":
        file.parent.mkdir()
        cells = {name: [cell] for name, cell in zip(FEATURES, BASELINE, strict=True)}
        parquet.write_table(pa.table(cells), file)
    elif form == "json lines":
        file.parent.mkdir()
        file.write_text(json.dumps({"features": BASELINE}) + "\n", encoding="utf-8")
    else:
        header = None if form == "csv" else BASELINE
        write_csv(file, [BASELINE] if form == "csv" else [], header)
    data = people(20, seed=7)
    source = write_csv(tmp_path / "data.csv", data.rows)
    result = run(tmp_path / "job", source, table_config(baseline=str(file)), endpoint)
    assert attributions(result) == pytest.approx(data.global_values, abs=1e-9)


def test_a_time_limit_ends_in_a_partial_result(tmp_path: Path, endpoint: str) -> None:
    source = write_csv(tmp_path / "data.csv", people(3_000, seed=8).rows)
    result = run(tmp_path, source, table_config(), endpoint, max_runtime="0.0001")
    assert attributions(result)
    explained = result.document("statistics.json")["explained"]
    assert explained["partial"]
    assert 1 <= explained["rows"] < explained["rows_read"] == 3_000
    assert "max_runtime was over after" in result.document("statistics.json")["notes"][0]


def test_a_window_without_data_is_a_completed_job(tmp_path: Path, baseline: Result, endpoint: str) -> None:
    (tmp_path / "captures").mkdir()
    config = {"headers": [*FEATURES], "methods": {"shap": {"baseline": [BASELINE]}}, "predictor": {}}
    result = run(tmp_path, tmp_path / "captures", config, endpoint, **baseline_of(baseline))
    assert result.exit_code == 0, result.message
    assert "nothing could be decided, because there are no rows" in result.message
    assert result.violations == []


def test_a_dry_run_asks_the_model_about_one_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_csv(tmp_path / "data.csv", people(500, seed=9).rows)
    (tmp_path / "analysis_config.json").write_text(json.dumps(table_config()), encoding="utf-8")
    with serving(csv_endpoint) as server:
        arguments = ["--validate", "--dataset-source", str(source), "--analysis-config", str(tmp_path)]
        exit_code = command.main([*arguments, "--model", server.url, "--output-path", str(tmp_path / "out")])
        asked = sum(len(request.rows()) for request in server.requests)
    assert exit_code == 0
    again = 4  # compared with their first answers
    assert 1 <= asked <= 2 ** len(FEATURES) + 2 + again
    printed = capsys.readouterr().out
    assert "the first 500 rows have columns age (double), colour (text)" in printed
    assert f"the model {server.url} answers 1 score per row ('label0'); asked about " in printed
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("use_logit", [False, True])
def test_many_rows_of_trees_take_the_shortcut_to_the_same_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, use_logit: bool
) -> None:
    import xgboost

    rows = np.random.default_rng(11).normal(size=(150, 4)).round(2)
    rows[::7, 1] = np.nan
    answers = (rows[:, 0] + np.nan_to_num(rows[:, 1]) * rows[:, 2] > 0).astype(float)
    objective = "binary:logistic" if use_logit else "reg:squarederror"
    booster = xgboost.train(
        {"nthread": 1, "objective": objective}, xgboost.DMatrix(rows, answers, nthread=1), 10
    )
    booster.save_model(tmp_path / "model.json")
    cells = [["" if np.isnan(cell) else cell for cell in row] for row in rows.tolist()]
    source = write_csv(tmp_path / "data.csv", cells, list("abcd"))
    config = table_config(baseline=[[0.1, 0.2, 0.3, 0.4]], use_logit=use_logit)
    results = []
    for worth in (10**12, 0):
        monkeypatch.setattr(shortcut, "MODEL_ROWS_WORTH_IT", worth)
        results.append(run(tmp_path / str(worth), source, config, tmp_path / "model.json"))
    coalitions, trees = results
    asked = [result.document("statistics.json")["explained"]["model_rows"] for result in results]
    assert asked[1] < asked[0] / 5
    assert attributions(trees) == pytest.approx(attributions(coalitions), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("name", ["model.txt", "model.ubj"])
def test_categories_of_a_model_file_give_the_values_of_its_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(shortcut, "MODEL_ROWS_WORTH_IT", 0)  # TreeExplainer knows no categories
    frame, boosters = category_models(tmp_path)
    frame = frame.head(30)
    base = frame[frame.month == 7].head(1)
    weights = [1 / (5 * math.comb(4, size)) for size in range(5)]
    expected = np.zeros((len(frame), 5))
    for coalition in itertools.product([False, True], repeat=5):
        rows = frame.copy()
        for column, present in zip(frame.columns, coalition, strict=True):
            if not present:
                rows[column] = base[column].iloc[0]
        answers, size = own_answers(name, boosters[name], rows), sum(coalition)
        for number, present in enumerate(coalition):
            expected[:, number] += answers * (weights[size - 1] if present else -weights[size])
    data = frame.assign(spare=range(len(frame)))
    source = write_csv(tmp_path / "data.csv", data.to_numpy().tolist(), list(data.columns))
    config = table_config(baseline=[*base.assign(spare=5).astype(object).to_numpy().tolist()])
    result = run(tmp_path / "job", source, config, tmp_path / name)
    found = attributions(result)
    assert found.pop("spare") == 0
    assert "has no feature called 'spare'" in result.document("statistics.json")["notes"][0]
    assert list(found.values()) == pytest.approx(np.abs(expected).mean(axis=0), abs=1e-6)


def test_parts_of_embeddings_are_explained_with_the_real_model(tmp_path: Path) -> None:
    example = ROOT / "preprocessing_examples" / "parts_of_embeddings.py"
    parts = runpy.run_path(str(example))
    rng = np.random.default_rng(10)
    weights = rng.normal(size=8)
    requests = [
        {
            "embedding": embedding,
            "text": f"Case {number}. Late{'!' * (number % 3)}",
        }
        for number, embedding in enumerate(rng.normal(size=(25, 8)).round(3).tolist())
    ]

    def ask(request: dict[str, Any]) -> float:
        return float(weights @ np.array(request["embedding"])) + request["text"].count("!")

    def endpoint(request: Request) -> Answer:
        rows = [dict(zip(columns, row, strict=True)) for row in request.rows()]
        return Answer("".join(f"{ask(parts['join'](row))!r}\n" for row in rows))

    nothing = {"embedding": [0.0] * 8, "text": "Nothing. Said"}
    columns = sorted(parts["split"](nothing))
    captures = write(tmp_path / "captures.jsonl", [record(request=request) for request in requests])
    config = {
        "methods": {"shap": {"baseline": [parts["split"](nothing)], "save_local_shap_values": True}},
        "predictor": {"content_type": "text/csv"},
    }
    with serving(endpoint) as server:
        result = run(tmp_path, captures, config, server.url, record_preprocessor_script=example)
    assert result.exit_code == 0, result.message
    header, *rows = table(result, "out.csv")
    assert header == [f"{name}_label0" for name in columns]
    blocks = [np.array(request["embedding"]).reshape(4, 2) * weights.reshape(4, 2) for request in requests]
    marks = [[0, request["text"].count("!")] for request in requests]
    wanted = [[*block.sum(axis=1), *mark] for block, mark in zip(blocks, marks, strict=True)]
    np.testing.assert_allclose(np.array(rows, dtype=float), np.array(wanted), atol=1e-9)


@pytest.mark.parametrize("single", [False, True])
def test_the_cost_of_an_endpoint_is_said_before_it_is_spent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], single: bool
) -> None:
    said: list[str] = []

    def answer(request: Request) -> Answer:
        said.append(capsys.readouterr().err)
        found = json.loads(request.body)["instances"]
        scores = [{"score": score(one["features"])} for one in ([found] if single else found)]
        return Answer(json.dumps({"predictions": scores}))

    config = table_config()
    config["predictor"] = {
        "content_type": "application/json",
        "content_template": f'{{"instances":${"record" if single else "records"}}}',
        "record_template": '{"features":$features}',
        "probability": "predictions[*].score",
    }
    source = write_csv(tmp_path / "data.csv", people(30).rows)
    with serving(answer) as server:
        result = run(tmp_path, source, config, server.url, log_level="INFO")
    assert result.exit_code == 0, result.message
    # Three features have six coalitions besides none and all.
    assert "Explaining 30 rows asks http" in said[0]
    assert f"for up to {30 * 7} rows, in about {30 * 7 if single else 1} requests" in said[0]
    assert ("with $records many go at once" in said[0]) == single


@pytest.mark.parametrize("headers", [[], ["no", "yes"]])
def test_a_label_beside_its_probability_is_not_explained(tmp_path: Path, headers: list[str]) -> None:
    def answer(request: Request) -> Answer:
        scores = [1 / (1 + np.exp(-score(row))) for row in request.rows()]
        return Answer("".join(f"{int(one > 0.9)},{one!r}\n" for one in map(float, scores)))

    source = write_csv(tmp_path / "data.csv", people(40).rows)
    config = table_config()
    config["predictor"]["label_headers"] = headers
    with serving(answer) as server:
        result = run(tmp_path, source, config, server.url)
    assert result.exit_code == 2
    assert "look like a label (number 0, such as " in result.message


@pytest.mark.parametrize(("column", "code"), [("label,score", 2), ("label,score,more", 0)])
def test_a_label_beside_its_score_is_not_explained(tmp_path: Path, column: str, code: int) -> None:
    def answer(request: Request) -> Answer:
        scores = [score(row) for row in request.rows()]
        more = ",0.5" if column.endswith("more") else ""
        return Answer("".join(f"{int(one > 3)},{one!r}{more}\n" for one in scores))

    source = write_csv(tmp_path / "data.csv", people(40).rows)
    with serving(answer) as server:
        result = run(tmp_path, source, table_config(), server.url)
        assert result.exit_code == code, result.message
        assert ("look like a label (number 0, such as " in result.message) == (code == 2)
        config = table_config()
        config["predictor"]["probability"] = 1
        result = run(tmp_path, source, config, server.url)
    assert attributions(result) == pytest.approx(people(40).global_values, abs=1e-9)


def test_lists_of_fewer_features_are_refused(tmp_path: Path, endpoint: str) -> None:
    records: list[dict[str, Any]] = [{"features": row} for row in people(30).rows]
    records[7]["features"] = records[7]["features"][:2]
    source = tmp_path / "data.jsonl"
    source.write_text("\n".join(map(json.dumps, records)))
    config = {**table_config(), "dataset_type": "application/jsonlines", "features": "features"}
    result = run(tmp_path, source, config, endpoint)
    assert result.exit_code == 2
    assert "rows have 3 features as a rule, but 1 have 2, the first being" in result.message
