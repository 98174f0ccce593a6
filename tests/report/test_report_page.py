"""The page as text: what it says, what it leaves out, and what it costs."""

from __future__ import annotations

import gzip
import json
import math
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_jobs import baseline_of, run_job

from contract import page as words
from contract.api import Decision, Finding, Violation, Violations
from contract.errors import topic
from contract.page import Card
from reporting.history.record import Run
from reporting.report import charts, page
from reporting.report import page as trends

ROOT = Path(__file__).parents[2]


def write_csv(path: Path, seed: int, shift: float = 0.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    rows = (f"{rng.integers(18, 90)},{rng.normal(50 + shift, 10):.3f}" for _ in range(2000))
    path.write_text("age,income\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


def folders(tmp_path: Path, *names: str) -> None:
    for name in names:
        (tmp_path / name).mkdir()


def test_verdict_and_ranking(tmp_path: Path) -> None:
    folders(tmp_path, "baseline", "window")
    baseline = run_job(tmp_path / "baseline", write_csv(tmp_path / "then.csv", 1))
    result = run_job(
        tmp_path / "window",
        write_csv(tmp_path / "2026/05/06/22/now.csv", 2, shift=20.0),
        start_time="2026-05-06T22:00:00Z",
        end_time="2026-05-06T23:00:00Z",
        **baseline_of(baseline),
    )
    text = (result.output / page.NAME).read_text(encoding="utf-8")
    assert "1 violation of the baseline" in text
    assert "2026-05-06 22:00 to 2026-05-06 23:00" in text
    assert re.search(r"<h3>income</h3>\s*<p>The mean went from [45].* to [67]", text)
    assert "Nothing was compared" in (baseline.output / page.NAME).read_text(encoding="utf-8")


@pytest.mark.parametrize("rules", ["sound", "sagemaker"])
def test_a_job_without_a_report_imports_nothing_of_it(tmp_path: Path, rules: str) -> None:
    source = write_csv(tmp_path / "data.csv", 1)
    script = (
        "import sys\nfrom containers.data_quality.main import main\n"
        "code = main(sys.argv[1:])\n"
        "of_it = ('reporting.report', 'jinja2', 'markupsafe')\n"
        "print(code, sorted(name for name in sys.modules if name.startswith(of_it)))"
    )
    flags = [
        f"--dataset-source={source}",
        '--dataset-format={"csv":{"header":true}}',
        f"--output-path={tmp_path / 'out'}",
        f"--rules={rules}",
        "--report=Disabled",
        "--log-level=ERROR",
    ]
    done = subprocess.run(
        [sys.executable, "-c", script, *flags],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env={name: value for name, value in os.environ.items() if name.isupper()},
    )
    assert done.stdout.strip() == "0 []"
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "constraints.json",
        "statistics.json",
    ]


def test_a_report_that_fails_leaves_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> bytes:
        raise ValueError("no page today")

    monkeypatch.setattr(page, "render", broken)
    result = run_job(tmp_path, write_csv(tmp_path / "data.csv", 1), log_level="WARNING")
    assert result.exit_code == 0
    assert result.files == ["constraints.json", "statistics.json"]
    assert "The report could not be made (ValueError: no page today)" in capsys.readouterr().err


@given(st.lists(st.dictionaries(st.text(), st.text() | st.integers(-(2**53), 2**53) | st.none())))
def test_embedded_data_is_what_it_was_and_ends_no_element(values: list[dict[str, object]]) -> None:
    text = str(page._embedded(values))
    assert json.loads(text) == values
    assert not set("<>&\u2028\u2029") & set(text)


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_every_number_has_a_text(value: float) -> None:
    text = words.number(value)
    assert text
    if math.isfinite(value) and 1e-4 <= abs(value) < 1e15:
        read = float(text.replace(",", "").replace("−", "-"))
        assert read == pytest.approx(value, rel=1e-3)


def numbers(values: list[float]) -> dict[str, object]:
    kll = {"sketch": {"parameters": {"c": 0.64, "k": 2048.0}, "data": [values]}}
    return {"numerical_statistics": {"distribution": {"kll": kll}}}


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=60),
    st.lists(st.floats(-100, 100), min_size=0, max_size=60),
)
def test_shares_of_a_distribution_add_up(now: list[float], then: list[float]) -> None:
    with np.errstate(all="ignore"):
        chart = charts.distribution(numbers(now), numbers(then) if then else None)
    assert chart is not None
    json.dumps(chart, allow_nan=False)
    for side, given_values in (("now", now), ("then", then)):
        if given_values:
            assert sum(chart[side]) == pytest.approx(1.0, abs=0.002)
        else:
            assert chart[side] is None


def test_a_rare_new_category_is_shown() -> None:
    before = {f"town {place}": 100 for place in range(40)}
    chart = charts.categories({**before, "Atlantis": 1}, before)
    assert "Atlantis" in chart["labels"]
    assert [chart["labels"][place] for place in chart["new"]] == ["Atlantis"]
    assert chart["labels"][-1] == "29 others"
    assert sum(chart["now"]) == pytest.approx(1.0, abs=0.002)


def run_at(day: int, *features: str) -> Run:
    at = datetime(2026, 5, day, tzinfo=UTC)
    return Run(
        run=f"{day}",
        monitor="data-quality",
        version="1",
        rules="sound",
        started=at,
        finished=at,
        seconds=1.0,
        dataset_source="",
        output_path="",
        exit_code=0,
        message="",
        window=(at, at),
        violations=tuple(Violation("baseline_drift_check", "", name) for name in features),
    )


def test_since_when() -> None:
    card = Card("age", [], "", 1.0, [Violation("baseline_drift_check", "", "age")])
    runs = [run_at(1, "age"), run_at(2), run_at(3, "age"), run_at(4, "age", "income")]
    assert trends.since(card, runs).startswith("Since 2026-05-03 00:00: this is the 3rd run in a row")
    assert trends.since(card, runs[:2]).startswith("New: the run before, 2026-05-02 00:00,")


def test_trends_of_a_history(tmp_path: Path) -> None:
    folders(tmp_path, "baseline", "window")
    baseline = run_job(tmp_path / "baseline", write_csv(tmp_path / "then.csv", 1))
    for day in (1, 2, 3):
        result = run_job(
            tmp_path / "window",
            write_csv(tmp_path / f"2026/05/0{day}/22/now.csv", day + 10, shift=20.0 * (day > 1)),
            start_time=f"2026-05-0{day}T00:00:00Z",
            end_time=f"2026-05-0{day + 1}T00:00:00Z",
            history_path=tmp_path / "history",
            **baseline_of(baseline),
        )
    text = (result.output / page.NAME).read_text(encoding="utf-8")
    assert "Since 2026-05-02 00:00: this is the 2nd run" in text
    assert "This run, and 2 runs before it" in text
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.S)[1])
    counts = next(chart for chart in data if chart.get("title") == "Violations")
    assert [point["value"] for point in counts["points"]] == [0, 1, 1]


def test_a_damaged_history_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders(tmp_path, "baseline", "window", "history", "history/runs")
    baseline = run_job(tmp_path / "baseline", write_csv(tmp_path / "then.csv", 1))
    record = tmp_path / "history" / "runs" / "20260501T000000.000000Z-data-quality-0.jsonl.gz"
    record.write_bytes(gzip.compress(b"{}")[:-9])
    variables = {"history_path": tmp_path / "history", "log_level": "WARNING", **baseline_of(baseline)}
    result = run_job(tmp_path / "window", write_csv(tmp_path / "now.csv", 2), **variables)
    assert result.exit_code == 0
    assert f"There are none: {record} is not whole" in (result.output / page.NAME).read_text(encoding="utf-8")
    assert f"Earlier windows are not known: {record} is not whole" in capsys.readouterr().err


def test_the_trend_of_a_metric_shows_the_metric(tmp_path: Path) -> None:
    from captured_predictions import predict, write_table

    from containers.model_quality.main import main

    settings = {
        "command": main,
        "problem_type": "BinaryClassification",
        "inference_attribute": "prediction",
        "ground_truth_attribute": "label",
    }
    folders(tmp_path, "baseline", "window")
    baseline = run_job(
        tmp_path / "baseline", write_table(tmp_path / "a.csv", predict(2_000, seed=1)), **settings
    )
    measured = []
    for day, wrong in ((1, 0.4), (2, 0.2), (3, 0.0)):
        result = run_job(
            tmp_path / "window",
            write_table(tmp_path / f"2026/05/0{day}/22/a.csv", predict(2_000, seed=5, wrong=wrong)),
            start_time=f"2026-05-0{day}T00:00:00Z",
            end_time=f"2026-05-0{day + 1}T00:00:00Z",
            history_path=tmp_path / "history",
            **baseline_of(baseline),
            **settings,
        )
        metrics = result.document("statistics.json")["binary_classification_metrics"]
        measured.append(metrics["accuracy"]["value"])
    text = (result.output / page.NAME).read_text(encoding="utf-8")
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.S)[1])
    chart = next(chart for chart in data if chart["kind"] == "trend" and chart["title"] == "accuracy")
    assert [point["value"] for point in chart["points"]] == pytest.approx(measured, abs=1e-5)
    assert measured == sorted(measured)
    expected = baseline.document("constraints.json")["binary_classification_constraints"]["accuracy"]
    assert chart["limit"] == expected["threshold"]


@pytest.mark.parametrize(
    ("text", "said"), [("a b", "A b."), ("a (b)", "A (b)."), ("a (b.)", "A (b.)"), ("a?", "A?"), ("", "")]
)
def test_a_sentence_ends_once(text: str, said: str) -> None:
    from contract.page import sentence

    assert sentence(text) == said


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([0.1234, 0.001, 3e-17], ["0.1234", "0.0010", "0"]),
        ([1234.5, -0.2], ["1,234", "0"]),
        ([12.3456, None, -1.0], ["12.35", "–", "−1.00"]),
        ([0.0, 0.0], ["0", "0"]),
        ([1e-30, -1e-31], ["1.000e-30", "−1.000e-31"]),
        ([math.nan, math.inf, 2.0], ["–", "∞", "2.000"]),
        ([], []),
    ],
)
def test_numbers_of_one_unit_have_one_format(values: list[float | None], texts: list[str]) -> None:
    assert words.alike(values) == texts


def test_what_is_noise_beside_its_spread_is_0() -> None:
    assert words.alike([1e-17, -3e-18], noise=1e-9) == ["0", "0"]
    assert words.alike([1e-17, 0.5], noise=1e-9) == ["0", "0.5000"]


def test_the_page_of_a_baseline_is_for_review(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    lines = ["age,balance,town,half"]
    lines += [
        f"{rng.integers(18, 90)},{rng.normal(0, 10):.3f},{rng.choice(['Rome', 'Oslo'])},{'' if n % 2 else n}"
        for n in range(1000)
    ]
    (tmp_path / "data.csv").write_text("\n".join(lines) + "\n")
    result = run_job(tmp_path, tmp_path / "data.csv", model_name="Flight delay")
    text = (result.output / page.NAME).read_text(encoding="utf-8")
    found = re.findall(r"<tr[^>]*>(.*?)</tr>", text, re.DOTALL)
    cells = [[re.sub(r"<[^>]*>", "", cell) for cell in re.split(r"</t[hd]>", row)[:-1]] for row in found]
    rows = {name.strip(): rest for name, *rest in cells}
    assert list(rows["feature"])[-2:] == ["drift limit", "rows to see it"]
    assert [rows["age"][place] for place in (0, 4, 5, 6)] == ["Integral", "100 %", "from 0", "0.1"]
    assert rows["balance"][5] == "any"
    assert set(re.findall(r"\w+", rows["town"][5].replace("&#39;", " "))) == {"Oslo", "Rome"}
    assert (rows["town"][7], rows["half"][4]) == ("–", "50 %")
    assert 400 < int(rows["age"][7].replace(",", "")) < 3000
    assert rows["half"][7] == "baseline too small"
    assert "Flight delay" in text
    assert "Look through this before it goes live" in text


def test_times_are_those_of_the_zone(tmp_path: Path) -> None:
    folders(tmp_path, "baseline", "window")
    baseline = run_job(tmp_path / "baseline", write_csv(tmp_path / "then.csv", 1))
    result = run_job(
        tmp_path / "window",
        write_csv(tmp_path / "2026/05/06/22/now.csv", 2, shift=20.0),
        start_time="2026-05-07T00:00:00",
        end_time="2026-05-07T01:00:00",
        time_zone="Europe/Berlin",
        **baseline_of(baseline),
    )
    text = (result.output / page.NAME).read_text(encoding="utf-8")
    assert re.search(r"<dt>Window \(Europe/Berlin\)</dt><dd>2026-05-07 00:00 to 2026-05-07 01:00</dd>", text)


def test_metrics_of_bias_are_spelt_out_where_they_are_used_first() -> None:
    from containers.bias.page import body

    metrics = [{"name": name, "description": name, "value": 0.2} for name in ("CI", "DPL")]
    facet = {"facet": "town", "value_or_threshold": "Oslo", "pre_training": metrics}
    about = {"facet": "town", "facet_value": "Oslo"}
    found = [
        Violation("bias_drift_check", "It grew.", metric_name=one["name"], extra=about) for one in metrics
    ]
    source = words.Source({"facets": [facet]}, {}, {}, {}, Decision(Violations(found)))
    made = body(source)
    assert made.cards[0].sentences[-1] == "CI is Class Imbalance."  # the title has the other
    titles = topic("bias_titles")
    assert made.sections[0].text == ", ".join(f"{name} is {titles[name]}" for name in ("CI", "DPL")) + "."


def test_ndcg_and_auc_are_spelt_out() -> None:
    from containers.feature_attribution import page as attribution
    from containers.model_quality import page as quality

    shap = {"explanations": {"kernel_shap": {"label0": {"global_shap_values": {"age": 0.5, "town": 3e-18}}}}}
    decision = Decision(Violations(), (Finding("label0", "NDCG 0.9500"),))
    (section,) = attribution.body(words.Source(shap, {}, shap, {}, decision)).sections
    assert f"{topic('page_text')['ndcg']} 0.9500" in section.text
    assert [row.cells[4].text for row in section.tables[0].rows] == ["0.5000", "0"]
    metrics = {"binary_classification_metrics": {"auc": {"value": 0.8}}}
    source = words.Source(metrics, {}, {}, {}, None)
    assert "AUC is the area under the ROC curve" in quality.body(source).sections[0].text


def test_the_page_of_a_models_baseline_shows_what_is_expected() -> None:
    from containers.model_quality.page import body

    metrics = {"binary_classification_metrics": {"accuracy": {"value": 0.8}}}
    limits = {"accuracy": {"threshold": 0.79, "comparison_operator": "LessThanThreshold"}}
    made = body(words.Source(metrics, {"binary_classification_constraints": limits}, {}, {}, None))
    (row,) = made.sections[0].tables[0].rows
    assert [cell.text for cell in row.cells] == [
        "accuracy",
        "–",
        "80 %",
        "–",
        "at least 79 %",
        "not compared",
    ]
