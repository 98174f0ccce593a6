"""text-drift: are the words of requests as frequent as they were at the baseline?

Words are hashed into BUCKETS; of each, the rows that contain one of its words are counted. A change counts
when it exceeds the limit by more than chance, for all buckets together. What moved is named by its word and
an example. `text_column` says which column holds the text, if there are several. An expert changes the limit
in constraints.json: {"most_change": 0.05}.
"""

from __future__ import annotations

import re
import sys
import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from statistics import NormalDist
from typing import Any

import pyarrow as pa

from contract import api
from contract.errors import ConfigurationError, DocumentError
from job_runner.console import run_command

CHECK = "text_drift_check"
BUCKETS = 1024
# Share of rows: a word that was in 3 % of requests and is in 4 % is no violation.
MOST_CHANGE = 0.02
FALSE_ALARMS = 0.003
# How many buckets are named in a sentence, and how much of an example is shown.
NAMED, SHOWN = 5, 60


@dataclass
class Words:
    """How many rows have words of each bucket; the first such word, and the first text."""

    rows: int = 0
    counts: Counter[int] = field(default_factory=Counter)
    words: dict[int, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class TextDrift(api.Analyzer):
    column: str = ""
    share: float = 1.0

    def empty(self) -> Words:
        return Words()

    def summarize(self, batches: Iterable[pa.RecordBatch]) -> Words:
        summary = Words()
        for batch in batches:
            for text in batch[self._column(batch.schema)].cast(pa.string()).drop_null().to_pylist():
                summary.rows += 1
                words = re.findall(r"\w+", text.lower())
                buckets = {zlib.crc32(word.encode()) % BUCKETS: word for word in words}
                summary.counts.update(buckets.keys())
                for bucket, word in buckets.items():
                    summary.words.setdefault(bucket, (word, text[:SHOWN]))
        return summary

    def _column(self, schema: pa.Schema) -> str:
        if self.column:
            if self.column not in schema.names:
                names = ", ".join(schema.names)
                raise ConfigurationError(f"text_column is {self.column!r}; the data has: {names}.")
            return self.column
        kinds = (pa.types.is_string, pa.types.is_large_string, pa.types.is_dictionary)
        texts = [one.name for one in schema if any(is_kind(one.type) for is_kind in kinds)]
        if len(texts) != 1:
            names = ", ".join(schema.names)
            raise ConfigurationError(f"text_column must say which column holds the text: {names}.")
        return texts[0]

    def merge(self, left: Words, right: Words) -> Words:
        left.rows += right.rows
        left.counts.update(right.counts)
        left.words = right.words | left.words
        return left

    def row_count(self, summary: Words) -> int:
        return summary.rows

    def describe(self, summary: Words) -> dict[str, Any]:
        words = {}
        for bucket, count in sorted(summary.counts.items()):
            word, example = summary.words[bucket]
            words[str(bucket)] = {"rows": count, "word": word, "example": example}
        return {"texts": summary.rows, "words": words}

    def suggest(self, statistics: Any, baseline: Any) -> dict[str, Any]:
        old = (baseline.constraints if baseline else None) or {}
        rows = {bucket: entry["rows"] for bucket, entry in statistics["words"].items()}
        limit = old.get("most_change", MOST_CHANGE)
        return {"most_change": limit, "texts": statistics["texts"], "rows_by_bucket": rows}

    def check(self, statistics: Any, baseline: Any) -> api.Decision:
        was = baseline.constraints
        if was is None:
            return api.Decision(api.Violations([]))
        if min(statistics["texts"], was["texts"]) < 2:
            why = {"reason": "there are fewer than two texts in the window or at the baseline", "lost": True}
            return api.Decision(
                api.Violations([]), comparisons=(api.Comparison("text", CHECK, api.State.UNDECIDED, **why),)
            )
        moved = self._moved(statistics, was)
        state = api.State.VIOLATED if moved else api.State.HOLDS
        named = "; ".join(text for _, text in moved[:NAMED])
        text = f"{len(moved)} of {BUCKETS:,} groups of words are more or less frequent than before. {named}"
        text = text.strip()
        compared = api.Comparison(
            "text", CHECK, state, text, rows=statistics["texts"], baseline_rows=was["texts"], value=len(moved)
        )
        violations = [api.Violation(CHECK, text, feature_name="text")] if moved else []
        return api.Decision(api.Violations(violations), comparisons=(compared,))

    def _moved(self, statistics: Any, was: Any) -> list[tuple[float, str]]:
        """Return what moved beyond limit and chance, the farthest first."""
        now_rows, was_rows = statistics["texts"], was["texts"]
        beyond_chance = NormalDist().inv_cdf(1 - self.share * FALSE_ALARMS / BUCKETS / 2)
        moved = []
        for bucket in statistics["words"].keys() | was["rows_by_bucket"].keys():
            entry = statistics["words"].get(bucket, {"rows": 0, "word": "(gone)", "example": ""})
            now, before = entry["rows"] / now_rows, was["rows_by_bucket"].get(bucket, 0) / was_rows
            # Wilson's correction keeps rare words from having no noise at all.
            now_fair = (entry["rows"] + 2) / (now_rows + 4)
            was_fair = (before * was_rows + 2) / (was_rows + 4)
            noise = (now_fair * (1 - now_fair) / now_rows + was_fair * (1 - was_fair) / was_rows) ** 0.5
            if abs(now - before) - was["most_change"] > beyond_chance * noise:
                example = f" ({entry['example']!r})" if entry["example"] else ""
                moved.append((abs(now - before), f"{entry['word']}: {before:.1%} to {now:.1%}{example}"))
        return sorted(moved, reverse=True)

    def with_error_share(self, share: float) -> TextDrift:
        return TextDrift(self.column, share)

    def metrics(self, statistics: Any, baseline: Any, decision: Any) -> list[api.Metric]:
        moved = [one.value for one in decision.comparisons if one.value is not None] if decision else []
        return [api.Metric("groups_of_words_that_moved", value) for value in moved]


def _read_constraints(value: dict[str, Any], where: str) -> dict[str, Any]:
    limit = value.get("most_change")
    if not isinstance(limit, int | float) or not 0 <= limit <= 1:
        raise DocumentError(f"{where}: most_change is {limit!r}, not a number from 0 to 1.")
    return value


MONITOR = api.Monitor(
    program="text-drift",
    description="Report requests whose words are more or less frequent than at the baseline.",
    title="Text drift",
    own_variables=(api.Variable("text_column", "Column of the text; needed where there are several."),),
    make_analyzer=lambda settings, plan: TextDrift(settings.own["text_column"] or ""),
    load_documents=lambda: api.DocumentSet(read_constraints=_read_constraints),
    load_replay=lambda: api.Replay(
        make_checker=lambda rules, checking, statistics: TextDrift(),
        has_written=lambda document: "words" in document,
        takes=lambda document: "rows_by_bucket" in document,
    ),
)
main = partial(run_command, MONITOR)

if __name__ == "__main__":
    sys.exit(main())
