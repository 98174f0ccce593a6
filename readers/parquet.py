"""Parquet files as record batches: row groups of large files side by side, small files together."""

import contextlib
import functools
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from contract.dataset import Dataset
from contract.errors import DatasetError
from file_storage.storage import SourceFile, is_s3, open_random, reading
from readers.dataset import excluded_positions, require_kept, say_odd_columns
from readers.flatten import as_decimals, flatten_batch
from readers.splitting import BATCH_ROWS, FileRange, FileSplit, Pieces, divide, gathered, joined, split_size

# Wide tables get fewer rows per batch and smaller read buffers, so that memory does not grow with columns.
_BATCH_CELLS = 8 << 20
_BUFFERS = 64 << 20
# Codes of a dictionary take less than this, in bytes a value; text that was not encoded takes more.
_ENCODED = 4.0
_SAMPLE_ROWS = 4096


def read_parquet(pieces: Pieces, request: Dataset) -> Iterator[pa.RecordBatch]:
    """Yield the rows of some files, or of row groups of one, nested columns flattened.

    Raises
    ------
    DatasetError
        Naming the file that is damaged or is not Parquet.
    """
    files: list[list[str]] = []
    for piece in pieces:
        names: list[str] = []
        for batch in _piece_batches(piece, request):
            names = batch.schema.names
            yield batch
            del batch  # while the next one is read
        files += [names] if not any(piece.row_groups[:1]) else []
    say_odd_columns(files)


def parquet_splits(files: Sequence[SourceFile], request: Dataset) -> tuple[FileSplit, ...]:
    """Divide Parquet files into splits.

    Parameters
    ----------
    files
        In path order.
    request
        With the columns to leave out.
    """
    target = split_size(sum(file.size for file in files))
    divided: list[Pieces] = []
    for pieces in divide(files, may_cut=lambda _: True):
        if pieces[0].is_whole_file:
            divided.append(pieces)
        elif pieces[0].start == 0:
            path = pieces[0].path
            divided += [(FileRange(path, row_groups=groups),) for groups in _row_groups(path, target)]
    read = functools.partial(read_parquet, request=request)
    return tuple(FileSplit(pieces, read, (joined,)) for pieces in divided)


def parquet_sample(path: str, request: Dataset) -> pa.RecordBatch | None:
    """Return the first rows of a file; None when there are none."""
    with _parquet(path), open_random(path) as source:
        file = _open(path, source)
        asked = [name for name in file.schema_arrow.names if name not in request.exclude]
        if not asked or not file.metadata.num_rows:
            return None
        batches = file.iter_batches(_SAMPLE_ROWS, row_groups=[0], columns=asked, use_threads=False)
        batch = next(batches, None)
        return None if batch is None else _flat(batch, asked, path, request)


def _row_groups(path: str, target: int) -> Iterator[tuple[int, ...]]:
    """Gather row groups until they have about `target` bytes as stored."""
    with _parquet(path), open_random(path) as file:
        metadata = pq.read_metadata(file)
        stored = file.size()
    sizes = [metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups)]
    shrinkage = stored / max(1, sum(sizes))
    return map(tuple, gathered(range(len(sizes)), lambda group: sizes[group] * shrinkage, target))


def _piece_batches(piece: FileRange, request: Dataset) -> Iterator[pa.RecordBatch]:
    path = piece.path
    with _parquet(path), open_random(path) as source:
        file = _open(path, source)
        metadata, names = file.metadata, file.schema_arrow.names
        excluded = excluded_positions(names, request.exclude)
        require_kept(path, names, request.exclude, excluded)
        kept = [name for position, name in enumerate(names) if position not in excluded]
        rows = max(1024, min(BATCH_ROWS, _BATCH_CELLS // max(1, metadata.num_columns)))
        groups, asked = list(piece.row_groups or range(metadata.num_row_groups)), kept if excluded else None
        batches = file.iter_batches(rows, row_groups=groups, columns=asked, use_threads=False)
        if not metadata.num_rows:
            batches = iter([pa.RecordBatch.from_pylist([], schema=file.schema_arrow)])
        # Nothing holds a batch while the next one is read.
        yield from map(functools.partial(_flat, kept=kept, path=path, request=request), batches)


def _open(path: str, source: pa.NativeFile) -> pq.ParquetFile:
    metadata = pq.read_metadata(source)
    # Streaming through small buffers bounds memory even for one giant row group; over the network, fewer
    # and larger requests are worth the memory of a row group. Where the file itself is not larger than the
    # buffers, it is the better bound: a damaged page may ask a stream for gigabytes.
    streams = source.size() > _BUFFERS
    return pq.ParquetFile(
        source,
        metadata=metadata,
        page_checksum_verification=True,
        read_dictionary=_encoded_text(source, metadata),
        pre_buffer=is_s3(path),
        buffer_size=max(16 << 10, min(1 << 18, _BUFFERS // max(1, metadata.num_columns))) if streams else 0,
    )


def _flat(batch: pa.RecordBatch, kept: list[str], path: str, request: Dataset) -> pa.RecordBatch:
    if len(kept) < batch.num_columns:
        # A name with dots may be read along with the column called like its beginning.
        batch = batch.select(kept)
    with DatasetError.instead_of("data_files.in_file", DatasetError, file=path):
        flat = flatten_batch(batch.replace_schema_metadata(None))
    nested = [name for name in flat.schema.names if name in request.exclude]
    return flat.drop_columns(nested) if nested else flat


def _encoded_text(source: pa.NativeFile, metadata: pq.FileMetaData) -> list[str]:
    """Return the text columns that are stored as codes of a dictionary of reasonable size."""
    if metadata.num_row_groups == 0:
        return []
    columns = [metadata.schema.column(position) for position in range(metadata.num_columns)]
    # Paths with a point are those of nested columns.
    flat = {place: column for place, column in enumerate(columns) if "." not in column.path}
    text = {place: column.path for place, column in flat.items() if column.logical_type.type == "STRING"}
    if not text:
        return []
    # Asking for a damaged description of a chunk ends the process (Arrow 26.0); reading from it raises.
    file = pq.ParquetFile(source, metadata=metadata)
    next(file.iter_batches(1, row_groups=[0], columns=list(text.values()), use_threads=False), None)
    group = metadata.row_group(0)
    chunks = {path: group.column(position) for position, path in text.items()}
    return [
        path
        for path, chunk in chunks.items()
        if chunk.has_dictionary_page and chunk.total_uncompressed_size <= _ENCODED * max(1, chunk.num_values)
    ]


def parquet_rows(path: str, rows: int) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of a file as Python values, `rows` of them together."""
    with _parquet(path), open_random(path) as source:
        for batch in _open(path, source).iter_batches(rows, use_threads=False):
            columns = list(map(as_decimals, batch.columns))
            yield pa.RecordBatch.from_arrays(columns, batch.schema.names).to_pylist()


@contextlib.contextmanager
def _parquet(path: str) -> Iterator[None]:
    """Turn what reading Parquet raises inside the block into an error that names the file."""
    told: dict[str, Any] = {"file": path, "error": lambda error: str(error).rstrip(".")}
    damaged = DatasetError.instead_of("parquet.damaged", pa.ArrowInvalid, **told)
    unsupported = DatasetError.instead_of("parquet.unsupported", pa.ArrowNotImplementedError, file=path)
    with reading(path), damaged, unsupported:
        yield
