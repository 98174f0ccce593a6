"""Runs as tables: for a terminal, and for other programs."""

import csv
import io
import operator
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any

import orjson

from contract.wording import several, some_of
from reporting.history.record import Run, run_to_json

_MOST_SUBJECTS = 3
_GAP = "  "

Rows = list[dict[str, Any]]


def list_runs(runs: Sequence[Run]) -> str:
    """Return one line per run: when, what, of which endpoint, how much, how it ended, and what is wrong."""
    head = ("WINDOW", "MONITOR", "OF", "ROWS", "LABELS", "RESULT", "WHAT", "RUN")
    lines = [
        (
            window_text(run),
            run.monitor,
            " ".join(filter(None, (run.model or run.endpoint, run.schedule))) or "-",
            "-" if run.rows is None else f"{run.rows:,}",
            "-" if run.label_coverage is None else f"{run.label_coverage:.0%}",
            result_text(run),
            _subjects(run),
            run.run,
        )
        for run in runs
    ]
    return aligned([head, *lines])


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Return a table with columns as wide as their widest cell."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    texts = (_GAP.join(map(str.ljust, line, widths)).rstrip() for line in lines)
    return "\n".join(texts) + "\n"


def window_text(run: Run, zone: tzinfo = UTC) -> str:
    """Return the window as people read it; without one, when the run began."""
    if run.window is None:
        return minute(run.started, zone)
    start, end = (minute(instant, zone) for instant in run.window)
    return f"{start} to {end[11:] if start[:10] == end[:10] else end}"


def result_text(run: Run) -> str:
    """Return how a run ended in a word or two."""
    if run.has_failed:
        return f"failed ({run.exit_code})"
    if run.violations is None:
        return "not checked"
    if run.violations:
        return several(len(run.violations), "violation") + (", no alert yet" if run.waits else "")
    if run.decided == 0:
        return "not decided"
    return f"ok, {run.undecided} not decided" if run.undecided else "ok"


def minute(instant: datetime, zone: tzinfo = UTC) -> str:
    """Return a time as people read it."""
    return f"{instant.astimezone(zone):%Y-%m-%d %H:%M}"


def _subjects(run: Run) -> str:
    if run.has_failed:
        return run.message[:60]
    if not run.violations and run.decided == 0 and run.why_undecided:
        return run.why_undecided[:60]
    names = list(dict.fromkeys(one.feature_name or one.metric_name or "" for one in run.violations or ()))
    return some_of(names, _MOST_SUBJECTS) or "-"


_OF_RUN = (
    *("version", "rules", "started", "finished", "seconds", "rows", "labelled", "unlabelled"),
    *("label_coverage", "exit_code", "message", "notes", "violations", "decided", "undecided"),
    *("why_undecided", "compared.constraints", "compared.statistics", "dataset_source", "output_path"),
)


def run_rows(runs: Sequence[Run]) -> Rows:
    """Return one row per run, flat."""
    names = [name.replace("compared.", "baseline_") for name in _OF_RUN]
    members = operator.attrgetter(*_OF_RUN)
    rows = [_identity(run) | dict(zip(names, members(run), strict=True)) for run in runs]
    for run, row in zip(runs, rows, strict=True):
        row["violations"] = None if run.violations is None else len(run.violations)
    return rows


_OF_VIOLATION = ("constraint_check_type", "feature_name", "metric_name", "description")


def violation_rows(runs: Sequence[Run]) -> Rows:
    """Return one row per violation."""
    return [
        _identity(run) | {name: getattr(one, name) for name in _OF_VIOLATION} | {"about": _text(one.extra)}
        for run in runs
        for one in run.violations or ()
    ]


def finding_rows(runs: Sequence[Run]) -> Rows:
    """Return one row per feature or metric and run: how far it moved."""
    return [{**_identity(run), **vars(finding)} for run in runs for finding in run.findings]


def metric_rows(runs: Sequence[Run]) -> Rows:
    """Return one row per metric and run."""
    return [
        _identity(run)
        | {"metric": metric.name, "dimensions": _text(metric.dimensions), "value": metric.value}
        | dict(zip(("low", "high"), metric.interval or (None, None), strict=True))
        | {column: (metric.statistic_values or {}).get(key) for column, key in _SEVERAL.items()}
        for run in runs
        for metric in run.metrics
    ]


_SEVERAL = {"count": "SampleCount", "sum": "Sum", "minimum": "Minimum", "maximum": "Maximum"}

TABLES: dict[str, Callable[[Sequence[Run]], Rows]] = {
    "runs": run_rows,
    "violations": violation_rows,
    "findings": finding_rows,
    "metrics": metric_rows,
}


def to_csv(rows: Rows) -> bytes:
    """Return a table as CSV with a header; times are ISO 8601."""
    if not rows:
        return b""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(cell) for name, cell in row.items()} for row in rows)
    return text.getvalue().encode()


def _cell(cell: Any) -> Any:
    if isinstance(cell, datetime):
        return cell.isoformat()
    if isinstance(cell, list | tuple | dict):
        return orjson.dumps(cell).decode()
    # A name of a column, say, that a spreadsheet would compute or run; it shows text after ' as it is.
    is_formula = isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{cell}" if is_formula else cell


def to_parquet(rows: Rows) -> bytes:
    """Return a table as Parquet; times are timestamps."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return bytes(sink.getvalue().to_pybytes())


def to_json_lines(runs: Sequence[Run]) -> bytes:
    """Return the records as they are kept."""
    return b"".join(orjson.dumps(run_to_json(run)) + b"\n" for run in runs)


def describe_run(run: Run) -> str:
    """Return a whole record, as indented JSON."""
    return orjson.dumps(run_to_json(run), option=orjson.OPT_INDENT_2).decode()


def _identity(run: Run) -> dict[str, Any]:
    start, end = run.window or (None, None)
    names = ("run", "monitor", "model", "endpoint", "schedule")
    return {**{name: getattr(run, name) for name in names}, "window_start": start, "window_end": end}


def _text(members: Mapping[str, Any]) -> str | None:
    return orjson.dumps(dict(members)).decode() if members else None
