"""Metrics on the page, now and at the baseline: what the pages of several monitors share."""

import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contract.page import Cell, Chart, Row, Table, number
from reporting.report import charts

# An object in a document as JSON values: a feature, a group, a segment, or the whole.
Entry = Mapping[str, Any]
# As the documents have them, by name: ``value`` and ``confidence_interval``.
Metrics = Mapping[str, Entry]
Text = Callable[[Any], str]
TABLES = tomllib.loads(Path(__file__).with_name("tables.toml").read_text("utf-8"))


def table(name: str, rows: list[Row], **members: str) -> Table:
    """Return one of the tables in ``tables.toml``; `members` fill the braces of its caption."""
    about = TABLES[name]
    caption, numeric = about["caption"].format_map(members), frozenset(about["numeric"])
    return Table(caption, about["columns"], rows, numeric, about.get("searchable", False))


@dataclass(frozen=True)
class Scope:
    """All rows, a segment or a group: its metrics now and then, and what is expected of them.

    `limits` are thresholds, and on which side of them to be.
    """

    now: Metrics
    then: Metrics
    limits: dict[str, tuple[float, str]] = field(default_factory=dict)
    title_of: Callable[[str], str] = str

    def estimates(self, name: str) -> tuple[charts.Estimate | None, charts.Estimate | None]:
        """Return a metric then and now, None where it is absent or undefined."""
        then, now = self.then.get(name, {}), self.now.get(name, {})
        was = charts.estimate(then.get("value"), then.get("confidence_interval"))
        return was, charts.estimate(now.get("value"), now.get("confidence_interval"))

    def values(self, name: str) -> tuple[float | None, float | None]:
        """Return a metric's values then and now, None where it is absent or undefined."""
        was, found = self.estimates(name)
        return was[0] if was else None, found[0] if found else None

    def chart(self, title: str, names: Iterable[str], *, shares: bool = False) -> Chart | None:
        """Return metrics then and now with what is expected of them; None where neither side has one."""
        limits = {name: limit for name, (limit, _) in self.limits.items()}
        items = ((self.title_of(name), *self.estimates(name), limits.get(name)) for name in names)
        return charts.intervals(title, items, shares=shares)

    def row(
        self, name: str, texts: Iterable[str], last: Iterable[Cell], chart: Chart | None, text: Text = number
    ) -> Row:
        """Return the row of a metric: texts, its values then and now with their interval, and last cells."""
        then, now = self.estimates(name)
        interval = Cell(charts.interval_text(now, text))
        cells = [*map(Cell, texts), *charts.value_cells(then, now, text=text), interval, *last]
        return Row(cells, chart, violated=cells[-1].state == "violated")
