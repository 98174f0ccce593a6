"""The page that defines the metrics says what the code does."""

from __future__ import annotations

from pathlib import Path

from analyzers.bias import flip_test, groups, summary
from analyzers.bias.describe import FEWEST_ROWS
from analyzers.bias.metrics import METRICS

_PAGE = (Path(__file__).parents[2] / "docs" / "bias.md").read_text(encoding="utf-8")


def test_every_metric_is_defined() -> None:
    for name in METRICS:
        assert f"| {name}" in _PAGE, name


def test_every_bound_is_that_of_the_code() -> None:
    for bound in (
        f"{summary.MOST_ROWS:,} rows",
        f"{summary.MOST_CELLS:,} cells",
        f"{flip_test.MOST_PAIRS:,} of",
        f"{summary.MOST_LABELS} distinct",
        f"a facet {summary.MOST_FACET_VALUES:,}",
        f"a group variable {summary.MOST_STRATA:,}",
        f"{summary.MOST_TABLE_CELLS:,} cells",
        f"more than {groups.MOST_CODES} different",
        f"at most {groups.MOST_GROUPS}",
        f"{FEWEST_ROWS} rows or more",
    ):
        assert bound in " ".join(_PAGE.split()), bound
