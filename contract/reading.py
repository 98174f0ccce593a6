"""What was decided of how a dataset is read, and what readers count while they read it.

Whoever decides says so here: the plan, a reader, an analysis configuration. A split is read elsewhere, so
what it notices travels as counts, and the leader makes sentences of them.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import groupby, islice
from typing import Any

from contract.dataset_format import Shape
from contract.errors import topic, wording
from contract.wording import several

# What is noticed: the code of its sentence, then the members of that, such as ``("field", "x")``.
Noticed = tuple[Any, ...]
Tally = Counter[Noticed]

# Sentences of one kind; more would hide the others.
_MOST_SAID = 20

_tally: ContextVar[Tally | None] = ContextVar("tally", default=None)


@dataclass(frozen=True)
class CallRows:
    """How the rows of a call stand in its payloads.

    Parameters
    ----------
    shapes
        By payload; others are `row`.
    calls
        How many calls were looked at, and in how many of them a side had several rows.
    why
        What decided.
    """

    shapes: Mapping[str, Shape] = field(default_factory=dict)
    calls: int = 0
    of_several_rows: int = 0
    why: str = ""

    def shape(self, side: str) -> Shape:
        """Return the shape of a payload."""
        return self.shapes.get(side, "row")

    def text(self) -> str:
        """Return what was decided as a sentence."""
        words = topic("rows_of_a_call")
        sides = "; ".join(f"{side}: {words[shape]}" for side, shape in self.shapes.items()) or "none is read"
        calls = several(self.calls, "call")
        return f"rows of a call, by {self.why} ({calls}, {self.of_several_rows} of several rows): {sides}"


@dataclass
class Said:
    """Sentences by subject, such as ``header`` or ``rows``, each once and in the order they were said.

    They go to the log and to the lines of ``--validate``, and with `call_rows`, which captures have, into
    ``statistics.json`` as ``reading``.
    """

    sentences: dict[str, list[str]] = field(default_factory=dict)
    call_rows: CallRows = field(default_factory=CallRows)
    undecodable: int = 0
    undecodable_in: Counter[int] = field(default_factory=Counter)  # by window, where several are read

    def document(self, *, with_sentences: bool) -> dict[str, Any]:
        """Return ``reading`` of ``statistics.json``, empty when there is nothing to say."""
        calls = self.call_rows
        shapes = {
            "rows_of_a_call": dict(calls.shapes),
            "calls_looked_at": calls.calls,
            "calls_of_several_rows": calls.of_several_rows,
            "decided_by": calls.why,
        }
        unread = {"undecodable_payloads": self.undecodable} if self.undecodable else {}
        return (shapes if calls.shapes else {}) | (unread | self.sentences if with_sentences else {})

    def say(self, code: str, **members: Any) -> None:
        """Add a sentence, unless it has been said."""
        subject, _, sentence = wording(code, **members).partition(": ")
        known = self.sentences.setdefault(subject, [])
        if sentence not in known:
            known.append(sentence)

    def add(self, tally: Tally, rows: int) -> None:
        """Say what was noticed while `rows` rows were read."""
        self.undecodable += sum(count for what, count in tally.items() if what[0] == "reading.undecodable")
        for what in [what for what in tally if what[0] == "window"]:
            self.undecodable_in[what[1][1]] += tally.pop(what)
        files = tally.pop(("file",), 0)
        lacking = {what[1][1]: files - tally.pop(what) for what in sorted(tally) if what[0] == "file"}
        for name, count in islice(((name, count) for name, count in lacking.items() if count), _MOST_SAID):
            self.say("reading.lacking", field=name, count=count)
        for _, alike in groupby(sorted(tally.items()), key=lambda noticed: noticed[0][0]):
            for (code, *members), count in islice(alike, _MOST_SAID):
                self.say(code, **dict(members), count=count, rows=rows)

    def lines(self) -> list[str]:
        """Return all sentences, each with its subject."""
        return [f"{subject}: {one}" for subject, said in self.sentences.items() for one in said]


def notice(code: str, count: int = 1, **members: Any) -> None:
    """Count something while a split is read; nothing happens where nobody collects."""
    tally = _tally.get()
    if tally is not None and count:
        tally[code, *members.items()] += count


@contextmanager
def counting(tally: Tally) -> Iterator[None]:
    """Have what is noticed inside the block added to `tally`."""
    token = _tally.set(tally)
    try:
        yield
    finally:
        _tally.reset(token)
