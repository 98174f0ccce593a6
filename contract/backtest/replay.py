"""Checking a past window again, with another baseline or by other rules, from its statistics alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from contract.analyzer import AnyAnalyzer, Baseline, DocumentSet
from contract.backtest.windows import Document, Material, PastWindow
from contract.documents.segments import SegmentedStatistics, segmented_documents
from contract.documents.violations import Violation
from contract.errors import ConfigurationError, DocumentError
from contract.wording import several

_UNNAMED = re.compile(r"_c\d+")


@dataclass(frozen=True)
class Kind:
    """One kind of monitor, as far as checking takes it.

    Parameters
    ----------
    monitor
        Its name in records, such as ``data-quality``.
    load_documents
        How its files are read.
    make_checker
        From rules, what the record says of the check, and statistics: an analyzer whose `check` needs no
        data.
    has_written
        Whether it writes such a statistics document.
    takes
        Whether it takes such a constraints document.
    """

    monitor: str
    load_documents: Callable[[], DocumentSet[Any, Any]]
    make_checker: Callable[[str, Mapping[str, Any], Any], AnyAnalyzer]
    has_written: Callable[[Mapping[str, Any]], bool]
    takes: Callable[[Mapping[str, Any]], bool]


@dataclass(frozen=True)
class Edit:
    """What is tried: each None leaves that as it was at the time."""

    constraints: Document | None = None
    baseline_statistics: Document | None = None
    rules: str | None = None
    attribution_drift_threshold: float | None = None

    @property
    def changes_anything(self) -> bool:
        """Return whether anything is tried."""
        return any(member is not None for member in vars(self).values())


@dataclass(frozen=True)
class Replayed:
    """A window with what was found before the edit and what would have been found after.

    Parameters
    ----------
    monitor
        Its kind.
    recorded
        Whether `before` is what the run reported; else it was checked again without the edit.
    notes
        What a reader should know of this window.
    """

    window: PastWindow
    monitor: str
    before: tuple[Violation, ...]
    after: tuple[Violation, ...]
    recorded: bool
    notes: tuple[str, ...] = ()

    @property
    def gone(self) -> tuple[Violation, ...]:
        """Return what would no longer be found."""
        return _without(self.before, self.after)

    @property
    def new(self) -> tuple[Violation, ...]:
        """Return what would be found that was not."""
        return _without(self.after, self.before)

    @property
    def changes_verdict(self) -> bool:
        """Return whether the window starts to alarm, or falls silent."""
        return bool(self.before) != bool(self.after)


def replay(window: PastWindow, edit: Edit, kinds: Mapping[str, Kind]) -> Replayed:
    """Check a window as it was, and with an edit.

    Raises
    ------
    InputError
        When that is not possible; says why.
    """
    material = window.load()
    kind = kind_of(window, material, kinds)
    notes = list(material.notes)
    after = _check(window, material, edit, kind)
    unedited = None
    if material.constraints is not None or material.baseline_statistics is not None:
        unedited = after if not edit.changes_anything else _check(window, material, Edit(), kind)
    before = window.violations if window.violations is not None else unedited
    if before is None:
        raise ConfigurationError(
            f"{window.name} does not tell what was found at the time: there is no constraint_violations.json."
        )
    if unedited is not None and window.violations is not None and _differ(unedited, before):
        then = f" of version {window.run.version}" if window.run else ""
        notes.append(
            f"Without the edit this program finds {several(len(unedited), 'violation')} where the run{then} "
            f"reported {len(before)}, so not every difference is the edit's."
        )
    if edit.rules not in (None, window.rules):
        notes.append(
            f"The data was read by rules={window.rules}; a run by rules={edit.rules} may read types and "
            "missing values otherwise."
        )
    return Replayed(window, kind.monitor, before, after, window.violations is not None, tuple(notes))


def kind_of(window: PastWindow, material: Material, kinds: Mapping[str, Kind]) -> Kind:
    """Return what kind of monitor wrote a window's statistics.

    Raises
    ------
    DocumentError
        When none did.
    """
    if window.monitor is not None and window.monitor in kinds:
        return kinds[window.monitor]
    for kind in kinds.values():
        if kind.has_written(material.statistics.value):
            return kind
    raise DocumentError(
        f"{material.statistics.where} is no statistics.json of {' or '.join(kinds)}; give the output folder "
        "of a monitoring job."
    )


def _check(window: PastWindow, material: Material, edit: Edit, kind: Kind) -> tuple[Violation, ...]:
    if window.rows == 0:
        return ()  # a window without data is not checked
    segmented = "segment_by" in window.checking or "segments" in material.statistics.value
    documents = kind.load_documents()
    if segmented:
        documents = segmented_documents(documents)
    statistics = documents.read_statistics(material.statistics.value, material.statistics.where)
    constraints = edit.constraints or material.constraints
    before = edit.baseline_statistics or material.baseline_statistics
    if constraints is None and before is None:
        raise ConfigurationError(
            f"{window.name} is nothing to compare with: its files do not hold the baseline of the time; give "
            "baseline_constraints and baseline_statistics."
        )
    baseline = Baseline(
        statistics=None if before is None else documents.read_statistics(before.value, before.where),
        constraints=None
        if constraints is None
        else documents.read_constraints(constraints.value, constraints.where),
    )
    checking = dict(window.checking)
    if edit.attribution_drift_threshold is not None:
        checking["attribution_drift_threshold"] = edit.attribution_drift_threshold
    whole = statistics.whole if segmented else statistics
    analyzer = kind.make_checker(edit.rules or window.rules, checking, whole)
    if segmented:
        from contract.segments import SegmentedAnalyzer

        analyzer = SegmentedAnalyzer(analyzer, tuple(checking.get("segment_by", ())))
    _mark_positional(statistics, checking)
    return tuple(analyzer.check(statistics, baseline).violations.violations)


def _mark_positional(statistics: Any, checking: Mapping[str, Any]) -> None:
    """Say of columns that came without names that they did, which the file does not."""
    if isinstance(statistics, SegmentedStatistics):
        for one in (statistics.whole, *(segment.statistics for segment in statistics.segments)):
            _mark_positional(one, checking)
        return
    if hasattr(statistics, "positional"):
        names = [feature.name for feature in statistics.features]
        unnamed = bool(names) and all(_UNNAMED.fullmatch(name) for name in names)
        statistics.positional = bool(checking.get("positional", unnamed))


def key_of(violation: Violation) -> tuple[object, ...]:
    """Return what makes two violations of a window the same, whatever their words."""
    members = {name: str(member) for name, member in violation.extra.items()}
    return (
        str(violation.constraint_check_type),
        violation.feature_name,
        violation.metric_name,
        tuple(sorted(members.items())),
    )


def _without(these: tuple[Violation, ...], those: tuple[Violation, ...]) -> tuple[Violation, ...]:
    known = {key_of(violation) for violation in those}
    return tuple(violation for violation in these if key_of(violation) not in known)


def _differ(these: tuple[Violation, ...], those: tuple[Violation, ...]) -> bool:
    return bool(_without(these, those) or _without(those, these))
