"""The page on reading says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from captures.test_inference_logs import FOLDERS, NO_TIMES

from contract.dataset import MARKERS
from contract.settings import VARIABLE_BY_NAME
from contract.window import path_span
from readers.captures.shapes import column_rows, table_rows
from readers.csv import NAMES, SEPARATORS
from readers.inference_logs import SERVERS
from readers.row_keys import TRANSFORM_ID, TRANSFORM_TIME

PAGE = (Path(__file__).parents[2] / "docs" / "reading.md").read_text(encoding="utf-8")


def row(*parts: str) -> str:
    return next(line for line in PAGE.splitlines() if line.startswith("|") and all(p in line for p in parts))


def test_every_marker_is_listed_and_no_other() -> None:
    first_cell = row("such a text is a missing value").split("|")[1]
    assert re.findall(r"`([^`]+)`", first_cell) == list(MARKERS)


def test_every_setting_it_names_is_one() -> None:
    named = {cell for cell in re.findall(r"`([a-z]+(?:_[a-z]+)+)`", PAGE) if "type" not in cell}
    known = {*VARIABLE_BY_NAME, "analysis_config", "statistics"}
    assert named <= known


def test_separators_are_listed() -> None:
    listed = row("told from the first 50 records")
    assert set(NAMES) == set(SEPARATORS)
    assert all(text in listed for text in ("`;`", "tab", "vertical bar"))


def test_dates_in_paths_are_read_as_listed() -> None:
    listed = re.findall(r"`([^`]*2026[^`]*)`", row("a window selects whole files"))
    assert len(listed) == 4
    assert all(path_span(f"/data/{path}/a.csv") is not None for path in listed)
    assert path_span("/data/a.csv") is None


def test_tables_in_json_are_read_as_listed() -> None:
    import json

    section = PAGE.partition("\n## JSON\n")[2].partition("\n## ")[0]
    shapes = re.findall(r"`(\{[^`]*\})`.* \| a table", section)
    tables = [json.loads(text) for text in shapes]
    assert len(tables) == 5
    assert all(table_rows(table) or column_rows(table) for table in tables)


def test_the_servers_are_those_whose_logs_are_read_and_their_times_as_listed() -> None:
    section = PAGE.partition("\n## Logs of other servers\n")[2].partition("\n## ")[0]
    cells = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in section.splitlines() if "| " in line
    ][1:]
    assert {row[0].strip("`") for row in cells} == set(SERVERS) == set(FOLDERS.values())
    for name, _, identifier, time in cells:
        folders = {folder for folder, server in FOLDERS.items() if server == name.strip("`")}
        assert identifier
        assert ("none" in time) == bool(folders & set(NO_TIMES))


def test_batch_transform_is_called_as_listed() -> None:
    assert row(f"`{TRANSFORM_ID}`", f"`{TRANSFORM_TIME}`")
