"""The two sets of rules, which constraints each of them checks, and what both decide alike."""

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Self

import numpy as np

from analyzers.shared.significance import hypergeometric_tail
from contract.api import PRESENCE_CHECK, Baseline, Comparison, Decision, State, Violation, Violations
from contract.errors import DocumentError, wording
from contract.schema import JsonObject, Kept, Level, unused_members
from contract.wording import chance, listing, percent

Rules = Literal["sound", "sagemaker"]


@dataclass(frozen=True, kw_only=True)
class SharesErrors:
    """An analyzer's check that may spend only a share of the false-alarm rate, `error_share`."""

    error_share: float = 1.0

    def with_error_share(self, share: float) -> Self:
        """Return a copy whose check spends only `share` of that."""
        return replace(self, error_share=self.error_share * share)


def constraints_to_check[Statistics, Constraints](
    baseline: Baseline[Statistics, Constraints], rules: Rules, suggest: Callable[[Statistics], Constraints]
) -> Constraints | None:
    """Return the baseline's constraints, None where there is nothing to check.

    Where it has none, sound rules take those that its statistics suggest; the originals check nothing then.

    Parameters
    ----------
    baseline
        What a window is compared with.
    rules
        ``sound`` or ``sagemaker``.
    suggest
        From the statistics of a baseline to its constraints.
    """
    if baseline.constraints is not None or baseline.statistics is None or rules == "sagemaker":
        return baseline.constraints
    return suggest(baseline.statistics)


@dataclass(kw_only=True)
class Checked(Kept):
    """A constraints.json: `where` it was read, and its members that are `unused`."""

    unused: list[str] = field(default_factory=list, compare=False)
    where: str = "constraints.json"


# The switch of a whole constraints.json, which the SDK's Constraints.set_monitoring turns.
SWITCH = {"monitoring_config": {"evaluate_constraints": "Enabled"}}


def read_unused(file: JsonObject, level: Level, *settings: str) -> list[str]:
    """Return the members of a constraints.json that have no effect; near misses are noted as mistakes.

    Parameters
    ----------
    file
        The document.
    level
        What it may have besides ``monitoring_config``.
    settings
        Members of ``monitoring_config`` besides the switch.
    """
    config = Level("monitoring_config", dict.fromkeys((*SWITCH["monitoring_config"], *settings)))
    level = level._replace(members={**level.members, config.called: config})
    return unused_members(file.members, level, file.mistakes)


def unused_notes(constraints: Checked | None) -> list[str]:
    """Return the note on members of a constraints.json that have no effect, if there are any."""
    if constraints is None or not constraints.unused:
        return []
    names = listing(constraints.unused, 20)
    return [wording("members.unused", file=constraints.where, names=names)]


def why_unchecked(constraints: Checked | None, asks_for_any: bool) -> str:
    """Return why constraints ask for no check at all, empty where they ask for one.

    Raises
    ------
    DocumentError
        When the switch says neither Enabled nor Disabled.
    """
    config = constraints.extra.get("monitoring_config") if constraints else None
    said = config.get("evaluate_constraints", "Enabled") if isinstance(config, Mapping) else config
    if constraints is None or said is None or str(said).casefold() in ("enabled", "true"):
        return "" if asks_for_any else "there are no constraints"
    if str(said).casefold() in ("disabled", "false"):
        return "evaluate_constraints is Disabled"
    raise DocumentError.of("members.switch", file=constraints.where, field="evaluate_constraints", value=said)


def nothing_checked(
    reason: str,
    notes: Iterable[str] = (),
    violations: Violations | None = None,
    comparisons: Iterable[Comparison] = (),
) -> Decision:
    """Return the decision of a check that could compare nothing; `reason` goes on behind "as"."""
    said = (*notes, f"Nothing was checked, as {reason}.")
    return Decision(violations or Violations(), notes=said, comparisons=tuple(comparisons), reason=reason)


def left_open(decision: Decision, reason_of: Callable[[Comparison], str]) -> Decision:
    """Return the decision without what does not violate and has a reason not to be decided."""
    comparisons = []
    for one in decision.comparisons:
        reason = "" if one.state is State.VIOLATED else reason_of(one)
        comparisons.append(replace(one, state=State.UNDECIDED, reason=reason, lost=True) if reason else one)
    return replace(decision, comparisons=tuple(comparisons))


def require_same_threshold(then: float | None, now: float | None, file: str) -> None:
    """Refuse a baseline whose scores became predictions at another threshold than the window's."""
    if None not in (then, now) and then != now:
        raise DocumentError.of(
            "quality_documents.threshold",
            file=file,
            field="probability_threshold_attribute",
            then=then,
            now=now,
        )


# The order in which the originals list categories: that of Scala's immutable hash map.
#
# Kept so that a `diff` against an old file shows real differences only; readers should treat the order as
# arbitrary. Spec section 3.2, "Order of categorical buckets".


_WORD = 0xFFFFFFFF
_PAIR_SEED = 0xCAFEBABE
# Long texts are hashed in stretches of this length, each as a sum that wraps around at 32 bits.
_STRETCH = 256
_POWERS = np.array([pow(31, n, 1 << 32) for n in reversed(range(_STRETCH))], np.uint32)
SMALL_MAP = 4  # Scala's maps of up to four entries keep the order of insertion


def category_order(column: str, values: Iterable[str]) -> list[str]:
    """Return `values` in the order of the original files.

    Five or more follow the trie order of their own hashes; fewer follow that of the (column, value)
    pairs they were collected from.
    """
    texts = list(values)
    if len(texts) > SMALL_MAP:
        return sorted(texts, key=lambda text: (_trie_path(java_hash(text)), text))
    first = java_hash(column)
    return sorted(texts, key=lambda text: (_trie_path(_pair_hash(first, java_hash(text))), text))


@functools.lru_cache(1024)
def java_hash(text: str) -> int:
    """Return ``java.lang.String.hashCode`` as an unsigned 32-bit number."""
    value = 0
    units = np.frombuffer(text.encode("utf-16-le", "surrogatepass"), dtype="<u2")
    if len(units) <= _STRETCH:
        for unit in units.tolist():
            value = (31 * value + unit) & _WORD
        return value
    for start in range(0, len(units), _STRETCH):
        stretch = units[start : start + _STRETCH].astype(np.uint32)
        weighted = int(np.dot(stretch, _POWERS[-len(stretch) :]))
        value = (value * pow(31, len(stretch), 1 << 32) + weighted) & _WORD
    return value


def _trie_path(value: int) -> tuple[int, ...]:
    """Return the branches a hash takes through the map's trie: five bits a level, lowest first."""
    value = (value + ~(value << 9)) & _WORD
    value ^= value >> 14
    value = (value + (value << 4)) & _WORD
    value ^= value >> 10
    return tuple((value >> shift) & 31 for shift in range(0, 32, 5))


def _pair_hash(first: int, second: int) -> int:
    """Return the hash of a Scala pair: MurmurHash3 (A. Appleby) over the hashes of its members."""
    value = _PAIR_SEED
    for member in (first, second):
        member = member * 0xCC9E2D51 & _WORD
        member = _rotate(member, 15) * 0x1B873593 & _WORD
        value = (_rotate(value ^ member, 13) * 5 + 0xE6546B64) & _WORD
    value ^= 2
    value = (value ^ value >> 16) * 0x85EBCA6B & _WORD
    value = (value ^ value >> 13) * 0xC2B2AE35 & _WORD
    return value ^ value >> 16


def _rotate(value: int, bits: int) -> int:
    return (value << bits | value >> (32 - bits)) & _WORD


# Whether what an analysis needs is there as often as at the baseline: predictions, groups, labels.


# Probability of a false alarm of one such check, and by how much the share of rows that lack it may grow.
FALSE_ALARM_RATE = 0.0005
LIMIT = 0.01


def with_presence(
    decision: Decision,
    of: Violation,
    lacking: tuple[int, int],
    usual: tuple[int, int],
    error_share: float,
    effect: float = 1.0,
) -> Decision:
    """Add to a decision whether the share of rows that lack something has grown.

    A violation is a growth by more than one row in a hundred that chance does not explain (Fisher's exact
    test).

    Parameters
    ----------
    of
        What a violation would be; its description says what the rows lack: ``rows lack a prediction``.
    lacking, usual
        Rows that lack it, and all rows, of the window and of the baseline, of which there may be none.
    error_share
        Share of the false-alarm rate that this check may spend.
    effect
        How many rows tell as much as one independent row.
    """
    (missing, rows), (missing_before, rows_before) = lacking, usual
    share = missing / rows
    comparison = Comparison(of.subject, PRESENCE_CHECK, State.UNDECIDED, value=share, rows=rows)
    if not rows_before:
        untold = replace(comparison, reason="the baseline has no statistics of what rows lack")
        return replace(decision, comparisons=(*decision.comparisons, untold))
    share_before = missing_before / rows_before
    told, of_all, before, before_all = (int(count / effect) for count in (*lacking, *usual))
    p_value = hypergeometric_tail(told, of_all, told + before, of_all + before_all)
    counts = {"missing": missing, "rows": rows, "before": missing_before, "rows_before": rows_before}
    shares = {"share": percent(share), "share_before": percent(share_before), "sure": chance(p_value)}
    text = wording("presence.share", what=of.description, **counts, **shares)
    comparison = replace(comparison, text=text, effect=share - share_before, limit=LIMIT)
    comparison = replace(comparison, p_value=p_value, baseline_rows=rows_before)
    with_it = decision.with_tested(comparison, of, FALSE_ALARM_RATE * error_share)
    # That rows are complete decides nothing of what is in them.
    is_violated = len(with_it.violations.violations) > len(decision.violations.violations)
    return decision if decision.is_empty and not is_violated else with_it
