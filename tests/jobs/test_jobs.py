"""Whole jobs: baseline, monitoring, windows, both rule sets."""

import threading
from pathlib import Path

import numpy as np
import pytest
from fixtures import fixture
from run_jobs import CSV, VIOLATIONS, baseline_of, environment, run_job
from sentences import says

from job_runner import console


def write_csv(path: Path, *, seed: int, rows: int = 3000, shift: float = 0.0) -> Path:
    rng = np.random.default_rng(seed)
    lines = ["age,income,city,flag"]
    for _ in range(rows):
        city = rng.choice(["Oslo", "São Paulo", "東京"])
        income = rng.normal(50 + shift * 10, 10)
        lines.append(f"{rng.integers(18, 90)},{income:.3f},{city},{int(rng.random() < 0.3)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_baseline_job_writes_statistics_and_constraints(tmp_path: Path) -> None:
    result = run_job(tmp_path, write_csv(tmp_path / "data.csv", seed=1))
    assert result.exit_code == 0
    assert says(result.message, "outcome.baseline", rows="3000 rows")
    gate = run_job(tmp_path / "gate", tmp_path / "data.csv", fail_on_violations=True)
    assert gate.message.startswith(
        f"{result.message} fail_on_violations is set, but no baseline to compare with"
    )
    first = run_job(tmp_path / "first", tmp_path / "data.csv", fail_on_violations=True, skip_check=True)
    assert first.message == result.message
    assert result.files == ["constraints.json", "report.html", "statistics.json"]
    features = {feature["name"]: feature for feature in result.document("statistics.json")["features"]}
    assert [f["inferred_type"] for f in features.values()] == ["Integral", "Fractional", "String", "Integral"]
    assert features["age"]["numerical_statistics"]["common"] == {"num_present": 3000, "num_missing": 0}
    domains = result.document("constraints.json")["features"][2]["string_constraints"]["domains"]
    assert sorted(domains) == ["Oslo", "São Paulo", "東京"]


@pytest.mark.parametrize("rules", ["sound", "sagemaker"])
def test_the_same_data_has_no_violations(tmp_path: Path, rules: str) -> None:
    source = write_csv(tmp_path / "data.csv", seed=1)
    baseline = run_job(tmp_path / "a", source, rules=rules, output_path=tmp_path / "baseline")
    result = run_job(tmp_path, source, rules=rules, **baseline_of(baseline))
    assert result.exit_code == 0
    assert result.violations == []
    assert result.files == [
        *(["comparisons.json"] if rules == "sound" else []),
        "constraint_violations.json",
        "constraints.json",
        "report.html",
        "statistics.json",
    ]


@pytest.mark.parametrize("rules", ["sound", "sagemaker"])
def test_drift_is_found_and_can_fail_the_job(tmp_path: Path, rules: str) -> None:
    first = write_csv(tmp_path / "first" / "data.csv", seed=1)
    baseline = run_job(tmp_path / "a", first, rules=rules, output_path=tmp_path / "baseline")
    second = write_csv(tmp_path / "second" / "data.csv", seed=2, shift=1.0)
    result = run_job(tmp_path, second, rules=rules, fail_on_violations="true", **baseline_of(baseline))
    assert result.exit_code == 3
    assert result.message.startswith(VIOLATIONS.format(1))
    assert [(v["feature_name"], v["constraint_check_type"]) for v in result.violations] == [
        ("income", "baseline_drift_check")
    ]
    assert "exceeds threshold: 0.1" in result.violations[0]["description"]


def test_a_window_without_data_is_a_completed_job(tmp_path: Path) -> None:
    first = write_csv(tmp_path / "first" / "data.csv", seed=1)
    baseline = run_job(tmp_path / "a", first, output_path=tmp_path / "baseline")
    write_csv(tmp_path / "captures" / "2026" / "05" / "06" / "21" / "data.csv", seed=2)
    result = run_job(
        tmp_path,
        tmp_path / "captures",
        start_time="2026-05-06T23:00:00Z",
        end_time="2026-05-07T00:00:00Z",
        fail_on_violations="true",
        **baseline_of(baseline),
    )
    assert result.exit_code == 5
    assert "nothing could be decided, because there are no rows in" in result.message
    assert result.violations == []


def test_a_window_that_cannot_be_applied_is_refused(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "data.csv", seed=1)
    baseline = run_job(tmp_path / "a", source, output_path=tmp_path / "baseline")
    window = {"start_time": "2026-05-06T23:00:00Z", "window": "PT1H"}
    result = run_job(tmp_path, source, **window, **baseline_of(baseline))
    assert result.exit_code == 2
    assert says(result.message, "windowed_rows.no_date", file=source)


def test_metrics_are_published_when_asked(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "data.csv", seed=1)
    baseline = run_job(tmp_path / "a", source, output_path=tmp_path / "baseline")
    run_job(
        tmp_path,
        source,
        publish_cloudwatch_metrics="Enabled",
        cloudwatch_metrics_directory=tmp_path / "metrics",
        metric_time="2026-05-06T22:00:00Z",
        sagemaker_endpoint_name="e",
        sagemaker_monitoring_schedule_name="s",
        **baseline_of(baseline),
    )
    text = (tmp_path / "metrics" / "cloudwatch_metrics.jsonl").read_text(encoding="utf-8")
    for part in (
        '"feature_baseline_drift_income"',
        '"feature_non_null_city"',
        '"feature_data_age"',
        '"StatisticValues":{',
        '"Timestamp":"2026-05-06T22:00:00Z"',
        '[{"Name":"Endpoint","Value":"e"},{"Name":"MonitoringSchedule","Value":"s"}]',
    ):
        assert part in text


def test_a_postprocessing_script_sees_the_results(tmp_path: Path) -> None:
    script = tmp_path / "after.py"
    script.write_text(
        "import pathlib\n"
        f"def postprocess_handler():\n    out = pathlib.Path({str(tmp_path / 'output')!r})\n"
        "    (out / 'seen').write_text(','.join(sorted(p.name for p in out.iterdir())))\n"
    )
    source = write_csv(tmp_path / "data.csv", seed=1)
    result = run_job(tmp_path, source, post_analytics_processor_script=script)
    assert result.exit_code == 0
    assert (result.output / "seen").read_text() == "constraints.json,report.html,statistics.json"


def test_validate_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from containers.data_quality.main import main

    source = write_csv(tmp_path / "data.csv", seed=1)
    output = tmp_path / "output"
    with environment({}):
        code = main(
            [
                "--validate",
                f"--dataset-source={source}",
                f"--dataset-format={CSV}",
                f"--output-path={output}",
            ]
        )
    assert code == 0
    assert "age (int64), income (double)" in capsys.readouterr().out
    assert not output.exists()


def test_a_baseline_of_the_service_works(tmp_path: Path) -> None:
    """The real files of a 2025 job are a usable baseline: every column is missing from other data."""
    folder = fixture("model_monitor/dq_service_output/ox2025/statistics.json").parent
    result = run_job(
        tmp_path,
        write_csv(tmp_path / "data.csv", seed=1),
        baseline_constraints=folder,
        baseline_statistics=folder / "statistics.json",
    )
    assert result.exit_code == 0
    kinds = {violation["constraint_check_type"] for violation in result.violations}
    assert "missing_column_check" in kinds


def test_threads_that_asked_a_model_hold_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    ended, codes, waits = threading.Event(), list[int](), dict[str, float]()
    threads = [threading.Thread(target=ended.wait, name=name) for name in ("asking_0", "of a script")]
    for thread in threads:
        thread.start()
    monkeypatch.setattr(threading, "enumerate", lambda: threads)
    monkeypatch.setattr(threading.Thread, "join", lambda self, timeout: waits.update({self.name: timeout}))
    monkeypatch.setattr(console, "_exit", codes.append)
    assert console._leave_threads(2) == 2
    ended.set()
    assert codes == [2, 2]
    assert list(waits) == ["of a script", "asking_0"]
    assert waits["asking_0"] < 1.0 < waits["of a script"]
