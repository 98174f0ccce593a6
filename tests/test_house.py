"""The house: imports go down only, no chain is long, and nobody but the monitors knows a monitor."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest
from fixtures import ROOT

from containers.commands.main import find_monitor, monitor_names
from containers.commands.merge_ground_truth import PROGRAM

ROOMS = (
    "containers",
    "job_runner",
    "reporting",
    "model_clients",
    "readers",
    "analyzers",
    "file_storage",
    "contract",
)
# Only these know a monitor by its name, or its documents by their members.
KNOWING = ("containers", "analyzers")
MONITORS = [find_monitor(name) for name in monitor_names()]
NAMES = {
    PROGRAM.program,
    *(name for monitor in MONITORS for name in (monitor.program, monitor.name, *monitor.analysis_types)),
}
# What a document, or whatever a monitor hands in, is called.
HANDED_IN = re.compile(
    r"(^|[._])(statistics|constraints|baseline|documents?|whole|found|analyzer|checker|monitor|decision|facts)$"
)
MODULES = sorted(path for room in ROOMS if room not in KNOWING for path in (ROOT / room).rglob("*.py"))


def test_no_chain_of_imports_is_long_where_files_are_read() -> None:
    graph = grimp.build_graph(*ROOMS, cache_dir=None)
    modules = {name for name in graph.modules if name.split(".")[0] in ("readers", "file_storage")}

    @functools.cache
    def longest(module: str) -> tuple[str, ...]:
        below = graph.find_modules_directly_imported_by(module) & modules
        return (module, *max((longest(name) for name in below), key=len, default=()))

    # A circle would recurse without end.
    chain = max((longest(name) for name in modules), key=len)
    assert len(chain) <= 8, chain


def test_no_module_imports_itself_by_others() -> None:
    graph = grimp.build_graph(*ROOMS, cache_dir=None)
    circles = {
        (name, below)
        for name in graph.modules
        for below in graph.find_modules_directly_imported_by(name)
        if graph.chain_exists(importer=below, imported=name)
    }
    assert not circles


def knowledge(source: str) -> Iterator[str]:
    """Yield what a module knows of single monitors."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in NAMES:
            yield f"{node.lineno}: the name {node.value!r}"
        # What analyzers share, such as tail probabilities, is of no single monitor.
        if isinstance(node, ast.ImportFrom) and re.match(r"analyzers\b(?!\.shared\.)", node.module or ""):
            yield f"{node.lineno}: an import of {node.module}"
        if isinstance(node, ast.Import) and any(name.name.startswith("analyzers") for name in node.names):
            yield f"{node.lineno}: an import"
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("hasattr", "getattr"):
            asked = ast.unparse(node.args[0])
            if HANDED_IN.search(asked):
                yield f"{node.lineno}: a probe of {asked}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nobody_else_knows_a_monitor(path: Path) -> None:
    assert not list(knowledge(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "source",
    [
        'kind == "data-quality"',
        'kind == "MODEL_BIAS"',
        "def f():\n    from analyzers.bias import documents",
        "getattr(self.statistics, 'notes', ())",
        "hasattr(baseline.constraints, 'features')",
    ],
)
def test_what_such_knowledge_looks_like(source: str) -> None:
    assert list(knowledge(source))
