"""What the page shows, before it is HTML: cards for what changed, sections with tables and charts."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from contract.decision import PRESENCE_CHECK, Decision, Finding, State, Violation
from contract.wording import shorten

# Numbers and names as people read them.


_LONGEST = 120


def number(value: Any, digits: int = 4) -> str:
    """Return a number with `digits` significant digits; a dash where there is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    size = math.floor(math.log10(abs(value)))
    if size >= 15 or size < -4:
        text = f"{value:.{digits - 1}e}"
    else:
        decimals = max(0, digits - 1 - size)
        text = f"{value:,.{decimals}f}"
        if "." in text:
            text = text.rstrip("0").rstrip(".")
    return text.replace("-", "−", 1) if value < 0 else text


def alike(values: Sequence[Any], noise: float = 0.0) -> list[str]:
    """Return numbers of one unit in one format: digits as the largest needs, and 0 for noise beside it."""
    largest = max((abs(one) for one in values if as_number(one) is not None and abs(one) > noise), default=0)
    places = max(0, 3 - math.floor(math.log10(largest))) if 1e-4 <= largest < 1e15 else 0

    def text(value: Any) -> str:
        if as_number(value) is None or (largest and not 1e-4 <= largest < 1e15):
            return number(value)
        shown = f"{value:,.{places}f}"
        return shown.replace("-", "−") if largest and shown.strip("-0.") else "0"

    return [text(value) for value in values]


def percent(value: Any) -> str:
    """Return a share as percent with three significant digits; a dash where there is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return "–"
    hundredfold = value * 100.0
    # As many digits as tell a share from none and from all.
    if 99.0 < hundredfold < 100.0:
        return f"{math.floor(hundredfold * 100.0) / 100.0:g} %"
    return f"{number(hundredfold, 3)} %"


def count(value: int) -> str:
    """Return a whole number with separators."""
    return f"{value:,}"


def several(amount: int, noun: str) -> str:
    """Return an amount with its noun, as in ``1 row`` and ``2 rows``."""
    return f"{count(amount)} {noun if amount == 1 else noun + 's'}"


def short(text: str, longest: int = _LONGEST) -> str:
    """Return text cut to what a page can hold."""
    return shorten(text, longest)


def sentence(text: str) -> str:
    """Return text with a capital first and a full stop last."""
    text = text.strip()
    if not text:
        return text
    return text[0].upper() + text[1:] + ("" if text.endswith((".", "?", "!", ".)")) else ".")


def as_number(value: Any) -> float | None:
    """Return a finite number of a document, None for texts such as ``"NaN"``."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


Chart = dict[str, Any]


@dataclass(frozen=True)
class Source:
    """What the page is made of.

    Parameters
    ----------
    statistics, constraints
        The run's documents as JSON values.
    baseline_statistics, baseline_constraints
        Those it was compared with; empty without.
    decision
        None when nothing was compared.
    """

    statistics: Mapping[str, Any]
    constraints: Mapping[str, Any]
    baseline_statistics: Mapping[str, Any]
    baseline_constraints: Mapping[str, Any]
    decision: Decision | None

    @property
    def violations(self) -> Sequence[Violation]:
        """Return the violations, none when nothing was compared."""
        return self.decision.violations.violations if self.decision else ()

    def verdict(self, subject: str) -> "Cell":
        """Return what was decided of a feature or metric of all rows."""
        if self.decision is None:
            return Cell("not compared")
        if subject in self._violated:
            return Cell("violates", state="violated")
        states = self._states.get(subject, [])
        if not states:
            return Cell("not constrained")
        undecided = states.count(State.UNDECIDED)
        if undecided == len(states):
            return Cell("not decided")
        return Cell(f"holds, {undecided} not decided") if undecided else Cell("holds", state="fine")

    @cached_property
    def _violated(self) -> set[str]:
        return {one.subject for one in self.violations if "segment" not in one.extra}

    @cached_property
    def _states(self) -> dict[str, list[State]]:
        states: dict[str, list[State]] = {}
        for one in self.decision.comparisons if self.decision else ():
            if not one.segment:
                states.setdefault(one.subject, []).append(one.state)
        return states

    def grouped[Key](self, key: Callable[[Violation], Key]) -> dict[Key, list[Violation]]:
        """Return the violations by what `key` says of them; what is fewer has a card for all monitors."""
        groups: dict[Key, list[Violation]] = {}
        for violation in (one for one in self.violations if one.constraint_check_type != PRESENCE_CHECK):
            groups.setdefault(key(violation), []).append(violation)
        return groups

    def findings(self) -> dict[str, Finding]:
        """Return what the check measured, by subject."""
        return {finding.subject: finding for finding in (self.decision.findings if self.decision else ())}


@dataclass
class Cell:
    """One cell of a table.

    Parameters
    ----------
    text
        What is read.
    sort
        What it sorts by: a number, or None for its text.
    gauge
        A bar beside the text: where it ends, the limit, what chance explains; shares of its width.
    state
        ``violated`` or ``fine`` for verdicts.
    """

    text: str
    sort: float | None = None
    gauge: dict[str, float] | None = None
    state: str = ""


@dataclass
class Row:
    """One row of a table; `chart` opens below it."""

    cells: list[Cell]
    chart: Chart | None = None
    violated: bool = False


@dataclass
class Table:
    """A table that sorts by its columns; those in `numeric` are aligned and sorted as numbers."""

    caption: str
    columns: list[str]
    rows: list[Row]
    numeric: frozenset[int] = frozenset()
    searchable: bool = False


@dataclass
class Section:
    """A part of the page."""

    title: str
    text: str = ""
    charts: list[Chart] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)


@dataclass
class Card:
    """One thing that changed: what, how much, how sure, what to do, and its picture.

    Parameters
    ----------
    weight
        How much it matters, for ranking only.
    violations
        Those it tells of.
    """

    title: str
    sentences: list[str]
    advice: str
    weight: float
    violations: list[Violation]
    chart: Chart | None = None


@dataclass
class Body:
    """What a monitor says: facts for the head, cards, of which the heaviest comes first, and sections."""

    cards: list[Card]
    sections: list[Section]
    facts: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cards = sorted(self.cards, key=lambda card: -card.weight)
