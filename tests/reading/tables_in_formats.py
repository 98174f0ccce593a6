"""Write one table as CSV, JSON Lines, Parquet, captures and the log of a service."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

FORMATS = {"csv": '{"csv":{"header":true}}', "json": '{"json":{"lines":true}}', "parquet": "parquet"}
LONG = pytest.mark.long  # six whole jobs each
KINDS = ("whole", "real", "text", "words", "flag", "date", "code", "gaps")


def column(kind: str, rows: int, random: np.random.Generator, *, moved: bool) -> list[Any]:
    step = 40 if moved else 0
    match kind:
        case "whole":
            return [int(x) + step for x in random.integers(0, 50, rows)]
        case "real":
            return [round(float(x), 3) + step for x in random.normal(10, 3, rows)]
        case "text":
            return [f"id-{x}" for x in random.integers(0, 10**6, rows)]
        case "words":
            words = ["red", "green", "blue", "NA"] if not moved else ["red", "pink"]
            return [str(x) for x in random.choice(words, rows)]
        case "flag":
            return [bool(x) for x in random.random(rows) < (0.3 if not moved else 0.8)]
        case "date":
            return [f"2026-03-{1 + x:02d}" for x in random.integers(0, 28, rows)]
        case "code":
            return [f"{x:04d}" for x in random.integers(0, 900, rows)]
    share = 0.5 if moved else 0.05
    return [None if random.random() < share else round(float(x), 2) for x in random.normal(5, 1, rows)]


@dataclass(frozen=True)
class Written:
    """A table in one format: how to read it, where its labels are, and how its columns are called."""

    source: Path
    settings: dict[str, Any]
    prediction: str
    names: dict[str, str]
    label: str | None = None


def write(
    folder: Path, table: dict[str, list[Any]], marker: str, *, answer: str = "", label: str = ""
) -> dict[str, Written]:
    """Write a table in every format; where a value is missing, CSV has a marker and the others have null.

    In captures and in the log of a service, `answer` is in the response, and `label` in a file of its own.
    """
    folder.mkdir(parents=True)
    rows = [dict(zip(table, cells, strict=True)) for cells in zip(*table.values(), strict=True)]
    features = [name for name in table if name not in (answer, label)]
    paths = {form: folder / f"table.{form}" for form in FORMATS}
    lines = [[",".join(_text(row[name], marker) for name in table)] for row in rows]
    paths["csv"].write_text(
        "\n".join([",".join(table), *(line for [line] in lines)]) + "\n", encoding="utf-8"
    )
    paths["json"].write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    pq.write_table(pa.Table.from_pydict(table), paths["parquet"])
    same = {name: name for name in table}
    found = {
        form: Written(path, {"dataset_format": FORMATS[form]}, answer, same, label)
        for form, path in paths.items()
    }
    indices = ["endpointInput", *(["endpointOutput"] if answer else [])]
    captures = {"dataset_format": json.dumps({"sagemakerCaptureJson": {"captureIndexNames": indices}})}
    for form, most in (("CSV", 1), ("CSV", 4), ("JSON", 1), ("JSON", 4)):
        calls = _calls(rows, most)
        place = folder / f"{form}-{most}"
        text = [_captured(at, call, form, most, features, answer, marker) for at, call in enumerate(calls)]
        _write_lines(place / "data" / "a.jsonl", text)
        labels = _labels(place / "labels", calls, label) if label else {}
        first = len([answer]) if answer else 0
        names = same if form == "JSON" else {f"_c{first + at}": name for at, name in enumerate(features)}
        if form == "CSV":  # as the monitors with a configuration call columns without names
            names |= {f"column_{at}": name for at, name in enumerate(features)}
            names |= {"_c0": answer} if answer else {}
        names = names | ({f"column_{len(features)}": label} if label else {})
        prediction = answer if form == "JSON" else "0"
        found[f"{form} captures of {most}"] = Written(place / "data", captures | labels, prediction, names)
    log = [
        {"id": f"e{at}", "time": f"2026-03-02T10:{at % 60:02}:00Z"}
        | {"request": {name: row[name] for name in features}}
        | ({"response": {answer: row[answer]}} if answer else {})
        for at, row in enumerate(rows)
    ]
    _write_lines(folder / "log" / "data" / "a.jsonl", log)
    keys = {"dataset_format": FORMATS["json"], "id_attribute": "id", "time_attribute": "time"}
    keys |= _labels(folder / "log" / "labels", [[row] for row in rows], label) if label else {}
    names = {f"request.{name}": name for name in features} | {f"response.{answer}": answer}
    names |= {"groundTruthData": label}
    found["log"] = Written(folder / "log" / "data", keys, f"response.{answer}", names)
    return found


def _text(value: Any, marker: str) -> str:
    return marker if value is None else str(value)


def _write_lines(path: Path, records: list[Any]) -> None:
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


def _calls(rows: list[dict[str, Any]], most: int) -> list[list[dict[str, Any]]]:
    """Divide rows into calls of one to so many rows."""
    sizes = itertools.cycle(range(1, most + 1))
    calls, at = [], 0
    while at < len(rows):
        calls.append(rows[at : (at := at + next(sizes))])
    return calls


def _captured(
    number: int,
    call: list[dict[str, Any]],
    form: str,
    most: int,
    features: list[str],
    answer: str,
    marker: str,
) -> dict[str, Any]:
    parts = {}
    for side, names, member in (("Input", features, "instances"), ("Output", [answer], "predictions")):
        if names != [""]:
            values = [{name: row[name] for name in names} for row in call]
            lines = [",".join(_text(value, marker) for value in row.values()) for row in values]
            text = (
                "\n".join(lines) if form == "CSV" else json.dumps({member: values} if most > 1 else values[0])
            )
            parts[f"endpoint{side}"] = {"data": text, "encoding": form}
    about = {"eventId": f"e{number}", "inferenceTime": "2026-03-02T10:00:00Z"}
    return {"captureData": parts, "eventMetadata": about, "eventVersion": "0"}


def _labels(folder: Path, calls: list[list[dict[str, Any]]], label: str) -> dict[str, Any]:
    """Write the labels of calls, and return the setting that joins them."""
    records = [
        {
            # In lines of CSV, a last label that is missing would be none.
            "groundTruthData": {"data": json.dumps([row[label] for row in call]), "encoding": "JSON"},
            "eventMetadata": {"eventId": f"e{number}"},
        }
        for number, call in enumerate(calls)
    ]
    _write_lines(folder / "a.jsonl", records)
    return {"ground_truth_source": folder}


def figures(document: Any, written: Written) -> Any:
    """Return a document without what was said, under the names of the table."""
    if isinstance(document, dict):
        document = {name: member for name, member in document.items() if name not in ("reading", "explained")}
    text = json.dumps(document, sort_keys=True)
    for own, name in written.names.items():
        text = re.sub(rf"(?<![\w.]){re.escape(own)}(?![\w.])", name, text)
    return json.loads(text, parse_float=lambda number: round(float(number), 9), object_hook=_in_order)


def _in_order(document: dict[str, Any]) -> dict[str, Any]:
    """Return an object with lists of values in one order: theirs is that of the rows or of the reader."""
    document.pop("evaluation_time", None)
    for name in ("buckets", "domains"):
        if name in document:
            document[name] = sorted(document[name], key=str)
    return document
