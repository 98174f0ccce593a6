"""What a comparison under sound rules could not decide, and why."""

from __future__ import annotations

from analyzers.data_quality.columns import FeaturePair
from analyzers.data_quality.drift import compares_drift
from analyzers.data_quality.limits import CLASSES
from analyzers.significance import rows_to_tell
from analyzers.wording import listing, number
from contract.documents.constraints import Constraints
from contract.documents.statistics import Statistics


def notes(
    statistics: Statistics,
    constraints: Constraints,
    baseline: Statistics | None,
    pairs: list[FeaturePair],
    alpha: float,
) -> tuple[str, ...]:
    """Return what a reader should know of the comparison beyond its violations.

    Parameters
    ----------
    statistics, constraints, baseline
        The documents compared.
    pairs
        The features compared.
    alpha
        Probability of a false alarm of one drift comparison.
    """
    found: list[str] = []
    if not constraints.config().evaluate_constraints and not pairs:
        found.append("evaluate_constraints is Disabled, so nothing was checked.")
    elif not pairs:
        found.append(
            "No column could be matched with the baseline, so no feature was checked; if the data has no "
            "header row, say so in dataset_format."
        )
    if baseline is None:
        found.append("There is no baseline_statistics, so drift was not measured.")
    else:
        found += _note_small_window(statistics, constraints, baseline, pairs, alpha)
        found += _note_not_compared(pairs)
    negative = [pair.name for pair in pairs if pair.expected.is_non_negative and _has_negative(pair)]
    if negative:
        found.append(f"Never negative in the baseline, but in this window: {listing(negative)}.")
    return tuple(found)


def _has_negative(pair: FeaturePair) -> bool:
    numbers = pair.current.numerical
    return numbers is not None and numbers.min is not None and numbers.min < 0.0


def _note_small_window(
    statistics: Statistics,
    constraints: Constraints,
    baseline: Statistics,
    pairs: list[FeaturePair],
    alpha: float,
) -> list[str]:
    config = constraints.config()
    if not config.perform_comparison or config.comparison_method == "Simple" or not baseline.item_count:
        return []
    threshold = config.comparison_threshold
    if threshold <= 0.0 or not any(pair.baseline and pair.baseline.numerical for pair in pairs):
        return []
    needed = rows_to_tell(threshold, baseline.item_count, alpha)
    if needed is None:
        note = (
            f"The baseline has {baseline.item_count} rows, too few to tell a drift of {number(threshold)} "
            "from chance in a window of any size; only larger ones are reported."
        )
        return [note]
    if statistics.item_count >= needed:
        return []
    note = (
        f"The window has {statistics.item_count} rows; a drift of {number(threshold)} can be told from "
        f"chance from {needed} rows on, so only larger ones are reported."
    )
    return [note]


def _note_not_compared(pairs: list[FeaturePair]) -> list[str]:
    names = [
        pair.name
        for pair in pairs
        if pair.config.perform_comparison
        and pair.baseline is not None
        and pair.current.num_present
        and pair.baseline.num_present
        and not _type_changed(pair)
        and not compares_drift(pair)
    ]
    if not names:
        return []
    return [f"Too many distinct values, or none kept, to measure drift of: {listing(names, 10)}."]


def _type_changed(pair: FeaturePair) -> bool:
    # Text where numbers were expected is a violation of its own.
    return pair.expected.inferred_type in CLASSES and pair.current.numerical is None
