"""Dividing files into pieces of similar size, and walking through a piece in blocks of whole lines."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from contract.datasets.storage import SourceFile, is_s3, open_input, open_random, reading

# The originals' engine reads less than this as one partition.
SMALL = 4 << 20

BLOCK_SIZE = 8 << 20
UTF8_MARK = b"\xef\xbb\xbf"
BATCH_ROWS = 65_536
_LEAST_SPLIT, _LARGEST_SPLIT = 1 << 20, 48 << 20
_SPLITS_WANTED = 16


@dataclass(frozen=True)
class Piece:
    """A file, or the bytes ``[start, end)`` of it, as stored.

    A line belongs to the piece that holds its first byte. `end` None is the end of the file.
    """

    path: str
    start: int = 0
    end: int | None = None

    @property
    def is_whole_file(self) -> bool:
        """Return whether the piece is all of its file."""
        return self.start == 0 and self.end is None


@dataclass(frozen=True)
class OfPieces:
    """What every split of files has: some files, or a byte range of one."""

    pieces: tuple[Piece, ...]

    @property
    def label(self) -> str:
        """Return the file and the range in it."""
        return label(self.pieces)


@dataclass(frozen=True)
class Block:
    """Whole lines of a file: their text, and where it starts in the (decompressed) file."""

    offset: int
    data: bytes


def label(pieces: tuple[Piece, ...]) -> str:
    """Return how messages call the pieces of one split."""
    first = pieces[0]
    if len(pieces) > 1:
        return f"{first.path} and {len(pieces) - 1} more"
    return first.path if first.is_whole_file else f"{first.path} bytes {first.start}-{first.end}"


def split_size(total_bytes: int) -> int:
    """Return the bytes a split should have: enough splits for many cores, few enough to merge cheaply."""
    return min(_LARGEST_SPLIT, max(_LEAST_SPLIT, total_bytes // _SPLITS_WANTED))


def divide(
    files: Iterable[SourceFile], *, may_cut: Callable[[SourceFile], bool] | None = None
) -> list[tuple[Piece, ...]]:
    """Divide files, in their order, into groups of pieces of about `split_size` bytes.

    Parameters
    ----------
    files
        What to read, in order.
    may_cut
        Whether a file may be cut into byte ranges; by default none may.

    Returns
    -------
    One tuple of pieces per split. Less than 4 MB in all is one split.
    """
    files = list(files)
    total = sum(file.size for file in files)
    target = split_size(total) if total >= SMALL else SMALL
    groups: list[tuple[Piece, ...]] = []
    together: list[Piece] = []
    gathered = 0
    for file in files:
        if file.size > target + target // 2 and may_cut is not None and may_cut(file):
            groups += [tuple(together)] if together else []
            groups += [(piece,) for piece in _cut(file, target)]
            together, gathered = [], 0
            continue
        together.append(Piece(file.path))
        gathered += file.size
        if gathered >= target:
            groups.append(tuple(together))
            together, gathered = [], 0
    return groups + ([tuple(together)] if together else [])


def line_blocks(
    piece: Piece,
    *,
    begin: int = 0,
    size: int | None = None,
    find_cut: Callable[[bytes], int] | None = None,
) -> Iterator[Block]:
    """Yield the lines of a piece in blocks that end after a newline (or at the end of the file).

    Parameters
    ----------
    piece
        What to read; compressed files must be whole.
    begin
        Bytes to leave out at the beginning of the file, such as a header row.
    size
        Bytes per block, about; default `BLOCK_SIZE`. A block grows until it holds a whole line.
    find_cut
        Given the text read so far (not all of the file), returns where the last whole record in it
        ends, 0 for nowhere. By default records end at newlines. Whole files only.

    Raises
    ------
    DatasetError
        When the file cannot be read, naming it and the cause.
    """
    # Over the network, fewer and larger requests.
    size = size or (2 * BLOCK_SIZE if is_s3(piece.path) else BLOCK_SIZE)
    with reading(piece.path):
        if piece.is_whole_file:
            yield from _stream_blocks(piece.path, begin, size, find_cut or _after_last_newline)
        else:
            yield from _range_blocks(piece, begin, size)


def text_of(block: Block) -> bytes:
    """Return the lines of a block without the mark that some programs put before UTF-8."""
    return block.data.removeprefix(UTF8_MARK) if block.offset == 0 else block.data


def lines_before(path: str, offset: int) -> int:
    """Return how many lines end before a byte of the (decompressed) file; for messages about errors."""
    lines = 0
    with reading(path), open_input(path) as stream:
        while offset > 0 and (chunk := stream.read(min(offset, BLOCK_SIZE))):
            lines += chunk.count(b"\n")
            offset -= len(chunk)
    return lines


def balanced_rows(rows: int) -> int:
    """Return the rows of a batch, about `BATCH_ROWS`, so that the batches of one block are of a size."""
    return -(-rows // max(1, round(rows / BATCH_ROWS))) or 1


def joined(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Join consecutive small batches of one schema, such as those of many small files.

    A batch of about `BATCH_ROWS` rows or `BLOCK_SIZE` bytes passes unchanged; the order stays.
    """
    waiting: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        if waiting and not batch.schema.equals(waiting[0].schema, check_metadata=True):
            yield _one_batch(waiting)
            waiting, rows, size = [], 0, 0
        waiting.append(batch)
        rows += batch.num_rows
        size += batch.nbytes
        if 2 * rows >= BATCH_ROWS or 2 * size >= BLOCK_SIZE:
            yield _one_batch(waiting)
            waiting, rows, size = [], 0, 0
    if waiting:
        yield _one_batch(waiting)


def _one_batch(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    return batches[0] if len(batches) == 1 else pa.concat_batches(batches)


def _cut(file: SourceFile, target: int) -> Iterator[Piece]:
    count = -(-file.size // target)
    edges = [file.size * i // count for i in range(count + 1)]
    for start, end in itertools.pairwise(edges):
        yield Piece(file.path, start, end)


def _stream_blocks(path: str, begin: int, size: int, find_cut: Callable[[bytes], int]) -> Iterator[Block]:
    with open_input(path) as stream:
        stream.read(begin)
        offset, rest = begin, b""
        while True:
            # Growing with what is already held keeps a very long record from being searched again and again.
            chunk = stream.read(max(size, len(rest)))
            if not chunk:
                break
            data = rest + chunk
            cut = find_cut(data)
            if cut:
                yield Block(offset, data[:cut])
            offset, rest = offset + cut, data[cut:]
        if rest:
            yield Block(offset, rest)


def _range_blocks(piece: Piece, begin: int, size: int) -> Iterator[Block]:
    with open_random(piece.path) as file:
        end = file.size() if piece.end is None else piece.end
        offset = begin if piece.start <= begin else _next_line(file, piece.start)
        while offset < end:
            # Finding the end first saves copying the block to cut it off there.
            stop = _next_line(file, min(offset + size, end))
            yield Block(offset, file.read_at(stop - offset, offset))
            offset = stop


def _next_line(file: pa.NativeFile, start: int) -> int:
    """Return where the first line starting at `start` or later begins, the end of the file if none does."""
    position, reach = start - 1, 4096
    while data := file.read_at(reach, position):
        found = data.find(b"\n")
        if found >= 0:
            return int(position + found + 1)
        position += len(data)
        reach = min(2 * reach, 1 << 20)
    return int(file.size())


def _after_last_newline(data: bytes) -> int:
    return data.rfind(b"\n") + 1
