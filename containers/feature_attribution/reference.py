"""The rows that stand for absent features: written in the configuration, read from a file, or none yet."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import pyarrow as pa

from analyzers.wording import listing
from contract.analysis_config import AnalysisConfig
from contract.datasets import storage
from contract.datasets.json_path import compile_path
from contract.datasets.locations import feature_rows, typed_text
from contract.documents.attribution import BASELINE_ROWS
from contract.errors import ConfigurationError, DocumentError
from contract.settings import Settings

_MEMBER = "methods.shap.baseline"


@dataclass(frozen=True)
class Shape:
    """The columns that rows must fill.

    Parameters
    ----------
    features
        Those the model takes, in its order.
    columns
        All columns of the dataset, for rows that have them all.
    path
        JMESPath of the features in records, None for none.
    """

    features: tuple[str, ...]
    columns: tuple[str, ...] = ()
    path: str | None = None


def given_rows(config: AnalysisConfig, shape: Shape) -> pa.RecordBatch | None:
    """Return the rows that ``methods.shap.baseline`` gives or names a file of, None when it is absent.

    Raises
    ------
    ConfigurationError
        When rows do not have one value per feature, or the file cannot be read.
    """
    shap = None if config.methods is None else config.methods.shap
    if shap is None or shap.baseline is None:
        return None
    if isinstance(shap.baseline, str):
        return rows_of_files(shap.baseline, shape)
    return _table(_found(shap.baseline, shape), shape, f"{config.where}: {_MEMBER}")


def rows_of_baseline_job(settings: Settings, shape: Shape) -> pa.RecordBatch | None:
    """Return the rows that the baseline job used, None when they are not beside its other files."""
    for place in (settings.baseline_constraints, settings.baseline_statistics):
        if place is None:
            continue
        folder = place.rstrip("/")
        if folder.endswith(".json"):
            folder = folder.rpartition("/")[0] or "."
        path = f"{folder}/{BASELINE_ROWS}"
        try:
            storage.read_bytes(path, DocumentError)
        except DocumentError:
            continue
        return rows_of_files(path, shape, has_header=True)
    return None


def rows_of_files(uri: str, shape: Shape, *, has_header: bool = False) -> pa.RecordBatch:
    """Return the rows of the files at a path, local or on S3: CSV, JSON, JSON Lines or Parquet.

    Parameters
    ----------
    uri
        A file or a folder.
    shape
        The columns to fill.
    has_header
        Whether CSV begins with a header even where none of its names is known.

    Raises
    ------
    ConfigurationError
        When a row does not have one value per feature, or a file is none of these.
    DatasetError
        When there is no file.
    """
    tables = [_read(file.path, shape, has_header) for file in storage.list_files(uri, _MEMBER)]
    if not tables or not sum(table.num_rows for table in tables):
        raise ConfigurationError(f"{_MEMBER} {uri} holds no row; give one row at least.")
    if len(tables) == 1:
        return tables[0]
    combined = pa.concat_tables(
        [pa.Table.from_batches([table]) for table in tables], promote_options="permissive"
    )
    return combined.combine_chunks().to_batches()[0]


def _read(path: str, shape: Shape, has_header: bool) -> pa.RecordBatch:
    data = storage.read_bytes(path, ConfigurationError)
    if data[:4] == b"PAR1":
        return _parquet(data, path, shape)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigurationError(
            f"{_MEMBER} {path} is neither UTF-8 text nor Parquet; write it as CSV with one value per feature."
        ) from None
    if text.lstrip()[:1] in ("{", "["):
        return _table(_json_rows(text, path, shape), shape, path)
    return _csv(text, path, shape, has_header)


def _parquet(data: bytes, path: str, shape: Shape) -> pa.RecordBatch:
    from pyarrow import parquet

    try:
        table = parquet.read_table(io.BytesIO(data))
    except (pa.ArrowInvalid, OSError) as error:
        raise ConfigurationError(f"{_MEMBER} {path} is damaged Parquet ({error}); write it again.") from None
    return _table(table.to_pylist(), shape, path)


def _json_rows(text: str, path: str, shape: Shape) -> list[Any]:
    try:
        return _found(orjson.loads(text), shape)
    except orjson.JSONDecodeError:
        pass  # one record per line, perhaps
    records = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            records.append(orjson.loads(line))
        except orjson.JSONDecodeError as error:
            raise ConfigurationError(
                f"{_MEMBER} {path} line {number} is not JSON ({error}); write one JSON record per line."
            ) from None
    return _found(records, shape)


def _csv(text: str, path: str, shape: Shape, has_header: bool) -> pa.RecordBatch:
    rows = [row for row in csv.reader(io.StringIO(text)) if row]
    names: list[str] = []
    if rows and (has_header or set(rows[0]) & set(shape.columns or shape.features)):
        names = rows.pop(0)
    cells = [[cell if cell != "" else None for cell in row] for row in rows]
    if set(shape.features) <= set(names):
        places = [names.index(name) for name in shape.features]
        cells = [[row[place] if place < len(row) else None for place in places] for row in cells]
    table = _table(cells, shape, path)
    return pa.RecordBatch.from_arrays(
        [typed_text(column) for column in table.columns], names=list(shape.features)
    )


def _found(value: Any, shape: Shape) -> list[Any]:
    """Return the rows in rows, records, requests in the shape of the model's, or lists of them."""
    if isinstance(value, list):
        if value and not any(isinstance(member, list | dict) for member in value):
            return [value]
        return [row for member in value for row in _found(member, shape)]
    if not isinstance(value, dict):
        return [value]
    if shape.path is not None:
        rows = feature_rows(compile_path(shape.path, "features")(value))
        if rows is not None:
            return list(rows)
    if set(shape.features) <= value.keys():
        return [value]
    nested = [member for member in value.values() if isinstance(member, list | dict)]
    return [row for member in nested for row in _found(member, shape)] if nested else [value]


def _table(rows: Sequence[Any], shape: Shape, where: str) -> pa.RecordBatch:
    cells = [_cells(row, number, shape, where) for number, row in enumerate(rows)]
    if not cells:
        raise ConfigurationError(f"{where} holds no row; give one row at least, with one value per feature.")
    columns = [_column([row[place] for row in cells]) for place in range(len(shape.features))]
    return pa.RecordBatch.from_arrays(columns, names=list(shape.features))


def _cells(row: Any, number: int, shape: Shape, where: str) -> list[Any]:
    if isinstance(row, dict):
        absent = [name for name in shape.features if name not in row]
        if absent:
            raise ConfigurationError(
                f"{where} row {number} lacks the features {listing(absent)}; give one value per feature, or "
                'a record in the shape of a request, such as {"features":[...]}.'
            )
        return [row[name] for name in shape.features]
    cells = row if isinstance(row, list) else [row]
    if len(cells) == len(shape.features):
        return cells
    if shape.columns and len(cells) == len(shape.columns):
        return [cells[shape.columns.index(name)] for name in shape.features]
    raise ConfigurationError(
        f"{where} row {number} has {len(cells)} values, but the model takes {len(shape.features)} features "
        f"({', '.join(shape.features[:12])}{', ...' if len(shape.features) > 12 else ''}); give one value "
        "per feature, in this order."
    )


def _column(values: list[Any]) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if value is None else str(value) for value in values], pa.string())
