"""What the feature-attribution jobs are given, and what their reports say: read from the files alone."""

from __future__ import annotations

import io
import json
import math
import pickle
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from demo.captures import ANSWER
from demo.flights import FEATURES
from demo.model import DelayModel

# What matters most is shown, at the baseline or in any window.
MOST = 3
_OUTPUT = "late"

# As SageMaker Clarify takes it. An absent feature takes its value in a typical flight: the centre of the
# baseline's flights.
CONFIGURATION: dict[str, Any] = {
    "version": "1.0",
    "headers": list(FEATURES),
    "methods": {
        "shap": {
            "num_clusters": 1,
            "num_samples": 50,
            "agg_method": "mean_abs",
            "use_logit": False,
            "save_local_shap_values": True,
            "seed": 2013,
        }
    },
    "predictor": {
        "content_type": "text/csv",
        "accept_type": "text/csv",
        "label": ANSWER.index("predicted_late"),
        "probability": ANSWER.index("probability"),
        "label_headers": [_OUTPUT],
    },
}


@dataclass(frozen=True)
class Attribution:
    """The files of one feature-attribution job.

    Attributes
    ----------
    rows
        Number of flights explained.
    sizes
        Mean absolute Shapley value of each feature, in units of probability.
    errors
        Their standard errors.
    effects
        Mean Shapley value of each feature: the sign says which way.
    violations
        The entries of ``constraint_violations.json``; none in a baseline.
    """

    rows: int
    sizes: dict[str, float]
    errors: dict[str, float]
    effects: dict[str, float]
    violations: list[dict[str, Any]]

    @property
    def ranked(self) -> list[str]:
        """Return all features, what matters most first."""
        return sorted(self.sizes, key=lambda name: -self.sizes[name])


def write_attribution_input(flights: pd.DataFrame, data: Path, configuration: Path) -> None:
    """Write the flights of the baseline as CSV, and ``analysis_config.json``."""
    for folder in (data.parent, configuration):
        folder.mkdir(parents=True, exist_ok=True)
    flights[list(FEATURES)].to_csv(data, index=False, lineterminator="\n")
    text = json.dumps(CONFIGURATION, indent=2)
    (configuration / "analysis_config.json").write_text(text + "\n", encoding="utf-8")


def write_model(model: DelayModel, path: Path) -> None:
    """Write ``model.tar.gz`` as it is deployed: the model, and ``code/inference.py``, which asks it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Plain objects: whoever loads them needs scikit-learn, and nothing of the demo.
    content = {"classifier": model.classifier, "features": list(FEATURES), "values": model.values}
    script = Path(__file__).with_name("inference.py")
    with tarfile.open(path, "w:gz") as archive:
        for name, member in {
            "model.pkl": pickle.dumps(content),
            "code/inference.py": script.read_bytes(),
        }.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(member)
            archive.addfile(entry, io.BytesIO(member))


def read_attribution(directory: Path) -> Attribution:
    """Return the report that a feature-attribution job left in `directory`."""
    statistics = _read(directory / "statistics.json")
    output = statistics["explanations"]["kernel_shap"][_OUTPUT]
    values = pd.read_csv(directory / "explanations_shap" / "out.csv")
    violations = directory / "constraint_violations.json"
    return Attribution(
        rows=statistics["explained"]["rows"],
        sizes=output["global_shap_values"],
        errors=output["standard_errors"],
        effects={name: float(values[f"{name}_{_OUTPUT}"].mean()) for name in FEATURES},
        violations=_read(violations)["violations"] if violations.exists() else [],
    )


def ndcg(before: Mapping[str, float], after: Mapping[str, float]) -> float:
    """Return how well the order `after` ranks what mattered `before`; 1 when the order is the same.

    The normalised discounted cumulative gain of the AWS guide: the feature at place 1, 2, ... `after` counts
    with its size `before` over the logarithm of its place plus one, relative to the best of all orders.
    """

    def gain(order: Sequence[str]) -> float:
        return sum(before[name] / math.log2(place + 1) for place, name in enumerate(order, start=1))

    return gain(sorted(after, key=lambda name: -after[name])) / gain(sorted(before, key=lambda n: -before[n]))


def describe_attribution(
    baseline: Attribution, windows: Sequence[tuple[str, Attribution]], before: str
) -> Iterator[str]:
    """Yield a table: a column for the baseline and each window, a row for each feature that matters most.

    Parameters
    ----------
    baseline
        The first column.
    windows
        Title and report of each.
    before
        Title of the baseline.
    """
    reports = [baseline, *(window for _, window in windows)]
    heads = [before, *(title for title, _ in windows)]
    shown = dict.fromkeys(name for report in reports for name in report.ranked[:MOST])
    yield f"  {'points ± error':<16}{''.join(f'{head:>20}' for head in heads)}"
    for name in sorted(shown, key=lambda name: -baseline.sizes[name]):
        yield f"  {name:<16}{''.join(f'{_with_place(report, name):>20}' for report in reports)}"
    scores = [f"{ndcg(baseline.sizes, window.sizes):.3f}" for _, window in windows]
    yield f"  {'NDCG':<36}{''.join(f'{score:>20}' for score in scores)}"
    counts = [str(len(window.violations) or "none") for _, window in windows]
    yield f"  {'violations':<36}{''.join(f'{count:>20}' for count in counts)}"


def describe_growth(baseline: Attribution, window: Attribution) -> Iterator[str]:
    """Yield a line for each feature that matters most in a window: how it has grown, and its effect."""
    for name in window.ranked[:MOST]:
        times = window.sizes[name] / baseline.sizes[name]
        before, after = (100 * report.effects[name] for report in (baseline, window))
        effect = f"it adds {after:+.1f} points on average ({before:+.1f} before)"
        yield f"  {name:<16}{times:.1f} times its size; {effect}"


def _with_place(report: Attribution, name: str) -> str:
    place = report.ranked.index(name) + 1
    return f"{place}. {100 * report.sizes[name]:>5.1f} ± {100 * report.errors[name]:.1f}"


def _read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document
