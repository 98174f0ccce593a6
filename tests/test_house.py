"""The house: imports go down only, no chain is long, and nobody but the monitors knows a monitor."""

from __future__ import annotations

import functools

import grimp

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


def test_no_chain_of_imports_is_long_where_files_are_read() -> None:
    graph = grimp.build_graph(*ROOMS, cache_dir=None)
    modules = {name for name in graph.modules if name.split(".")[0] in ("readers", "file_storage")}

    @functools.cache
    def longest(module: str) -> tuple[str, ...]:
        below = graph.find_modules_directly_imported_by(module) & modules
        return (module, *max((longest(name) for name in below), key=len, default=()))

    # A circle would recurse without end.
    chain = max((longest(name) for name in modules), key=len)
    assert len(chain) <= 10, chain
