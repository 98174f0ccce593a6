"""Tables of what was measured, for the terminal and for docs/benchmarks.md."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from benchmarks import peers_environment
from benchmarks.contenders import Contender, Section
from benchmarks.measure import Cost, median

OUR_DEPENDENCIES = ("numpy", "pyarrow", "orjson", "xxhash")


@dataclass(frozen=True)
class Result:
    """The runs of one contender; `failure` says why there are none."""

    contender: Contender
    costs: tuple[Cost, ...]
    failure: str = ""


def section_table(section: Section, results: Sequence[Result]) -> str:
    """Return one section as a Markdown table that is readable as plain text."""
    ratio = "peak / first" if section.about_memory else "ours / it"
    header = ("process", "wall s", "CPU s", "peak MB", "runs", ratio, "goal")
    rows = [_row(result, results[0], section.about_memory) for result in results]
    return f"### {section.title}\n\n{markdown_table(header, rows)}\n"


def _row(result: Result, reference: Result, about_memory: bool) -> tuple[str, ...]:
    if not result.costs:
        return (result.contender.name, "-", "-", "-", "0", "-", result.failure)
    cost = median(result.costs)
    ratio, verdict = "", ""
    if result is not reference and reference.costs:
        ours = median(reference.costs)
        value = cost.peak / ours.peak if about_memory else ours.wall / cost.wall
        ratio = f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"
        verdict = _verdict(value, result.contender.goal)
    figures = (f"{cost.wall:.2f}", f"{cost.processor:.2f}", f"{cost.peak / 1e6:,.0f}")
    return (result.contender.name, *figures, str(len(result.costs)), ratio, verdict)


def _verdict(value: float, goal: float | None) -> str:
    if goal is None:
        return ""
    wanted = f"{goal:.2f}" if goal >= 0.1 else f"1/{1 / goal:.0f}"
    return f"at most {wanted}: {'met' if value <= goal else 'missed'}"


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table with aligned columns, the first to the left, figures to the right."""
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    last = len(header) - 1

    def line(row: Sequence[str]) -> str:
        cells = [
            cell.ljust(width) if column in (0, last) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return f"| {' | '.join(cells)} |"

    rule = [
        "-" * width if column in (0, last) else "-" * (width - 1) + ":" for column, width in enumerate(widths)
    ]
    return "\n".join([line(header), line(rule), *map(line, rows)])


def versions_table(peers: Sequence[str]) -> str:
    """Return what was measured on what."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    rows = [
        ("processor", f"{_processor()}, {len(os.sched_getaffinity(0))} cores, {memory:.0f} GB"),
        ("system", f"{platform.system()} {platform.release()}"),
        ("Python", platform.python_version()),
        ("this project with", ", ".join(f"{name} {version(name)}" for name in OUR_DEPENDENCIES)),
    ]
    if peers:
        pins = peers_environment.pinned_versions().items()
        rows.append(("peers", ", ".join(f"{name} {number}" for name, number in pins)))
    return markdown_table(("what", "version"), rows)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def document(command: str, versions: str, tables: Sequence[str]) -> str:
    """Return docs/benchmarks.md."""
    text = Path(__file__).with_name("document.md").read_text(encoding="utf-8")
    for name, value in (("command", command), ("versions", versions), ("tables", "\n".join(tables))):
        text = text.replace("{{" + name + "}}", value.strip())
    return text
