"""Dividing files into pieces of similar size, and walking through a piece in blocks of whole lines."""

import functools
import itertools
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from contract.errors import DatasetError
from file_storage import storage
from readers.lanes import line_ends

# The originals' engine reads less than this as one partition.
SMALL = 4 << 20

BLOCK_SIZE = 8 << 20
# A line longer than this is damage, or no line.
LONGEST_LINE = 64 << 20
UTF8_MARK = b"\xef\xbb\xbf"
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
BATCH_ROWS = 65_536
_LEAST_SPLIT, _LARGEST_SPLIT = 1 << 20, 48 << 20
_SPLITS_WANTED = 16


@dataclass(frozen=True)
class LogFiles(storage.SourceFile):
    """Files of a server's log, which are read together since halves of a call may lie in two of them.

    `blocks` returns their calls as blocks of capture records, given this and the size of a block.
    """

    blocks: "Callable[[LogFiles, int], Iterator[LineBlock]]"
    files: tuple[str, ...] = ()
    server: str = ""


class FileRange(NamedTuple):
    """A file, or the bytes ``[start, end)`` of it, as stored.

    A line belongs to the piece that holds its first byte. `end` None is the end of the file. `log` is what
    to read instead of a file, `row_groups` which ones of a Parquet file.
    """

    path: str
    start: int = 0
    end: int | None = None
    log: LogFiles | None = None
    row_groups: tuple[int, ...] = ()

    @property
    def is_whole_file(self) -> bool:
        """Return whether the piece is all of its file."""
        return self.start == 0 and self.end is None


Pieces = tuple[FileRange, ...]
# From text to where the last whole record in it ends, 0 for nowhere.
FindCut = Callable[[bytes], int]
Change = Callable[[pa.RecordBatch], pa.RecordBatch]
# From rows to rows, batch by batch; picklable.
Transform = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]


class FileSplit(NamedTuple):
    """Some files, or a range of one: how they are read, and what their rows pass through after that.

    `name` is what messages call rows of no file.
    """

    pieces: Pieces
    read: Callable[[Pieces], Iterator[pa.RecordBatch]]
    transforms: tuple[Transform, ...] = ()
    name: str = ""

    @property
    def label(self) -> str:
        """Return the file and the range in it."""
        return self.name or label(self.pieces)

    def then(self, transform: Transform) -> "FileSplit":
        """Return the split with one transform more."""
        return self._replace(transforms=(*self.transforms, transform))

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows in order."""
        rows = self.read(self.pieces)
        return functools.reduce(lambda rows, transform: transform(rows), self.transforms, rows)


Splits = tuple[FileSplit, ...]


def each(change: Change) -> Transform:
    """Return the transform that changes every batch by itself."""
    return functools.partial(_changed, change)


def _changed(change: Change, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    return map(change, filter(operator.attrgetter("num_rows"), batches))


class Segment(NamedTuple):
    """Whole lines of one file, and where they start in the (decompressed) file.

    Of lines made from something else, `numbers` says in which lines of the file that is.
    """

    path: str
    offset: int
    data: bytes
    numbers: tuple[int, ...] = ()


def whole_of(file: storage.SourceFile) -> FileRange:
    """Return all of a file."""
    return FileRange(file.path, log=file if isinstance(file, LogFiles) else None)


def label(pieces: Pieces) -> str:
    """Return how messages call the pieces of one split."""
    first = pieces[0]
    if len(pieces) > 1:
        return f"{first.path} and {len(pieces) - 1} more"
    if first.row_groups:
        return f"{first.path} row groups {first.row_groups[0]}-{first.row_groups[-1]}"
    return first.path if first.is_whole_file else f"{first.path} bytes {first.start}-{first.end}"


def split_size(total_bytes: int) -> int:
    """Return the bytes a split should have: enough splits for many cores, few enough to merge cheaply."""
    return min(_LARGEST_SPLIT, max(_LEAST_SPLIT, total_bytes // _SPLITS_WANTED))


def divide(
    files: Iterable[storage.SourceFile], *, may_cut: Callable[[storage.SourceFile], bool] | None = None
) -> list[Pieces]:
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

    def is_cut(file: storage.SourceFile) -> bool:
        is_large = file.size > target + target // 2 and not isinstance(file, LogFiles)
        return is_large and may_cut is not None and may_cut(file)

    groups: list[Pieces] = []
    for cut, some in itertools.groupby(files, is_cut):
        if not cut:
            groups += [tuple(map(whole_of, each)) for each in gathered(some, lambda file: file.size, target)]
            continue
        for file in some:
            count = -(-file.size // target)
            edges = [file.size * at // count for at in range(count + 1)]
            groups += [(FileRange(file.path, *edge),) for edge in itertools.pairwise(edges)]
    return groups


def first_bytes(path: str, size: int) -> bytes:
    """Return the beginning of a file, decompressed."""
    with storage.reading(path), storage.open_input(path) as stream:
        return bytes(stream.read(size))


def has_lines(file: storage.SourceFile) -> bool:
    """Return whether a file of lines can be read in byte ranges, which a compressed one cannot."""
    return not storage.is_compressed(file.path)


def line_blocks(
    piece: FileRange, *, begin: int = 0, size: int | None = None, find_cut: FindCut | None = None
) -> Iterator[Segment]:
    """Yield the lines of a piece in segments that end after a newline (or at the end of the file).

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
    size = size or (2 * BLOCK_SIZE if storage.is_s3(piece.path) else BLOCK_SIZE)
    with storage.reading(piece.path):
        # Large parts of a local file are read without copying them to cut them off.
        path, is_large = piece.path, size >= BLOCK_SIZE and not storage.is_s3(piece.path)
        is_copied = piece.is_whole_file and not (is_large and find_cut is None)
        blocks = (
            _stream_blocks(path, begin, size, find_cut) if is_copied else _range_blocks(piece, begin, size)
        )
        for block in blocks:
            # Some programs put a mark before UTF-8.
            has_mark = block.offset == 0 and block.data.startswith(UTF8_MARK)
            yield block._replace(data=block.data.removeprefix(UTF8_MARK)) if has_mark else block


def without_marks(data: bytes) -> bytes:
    """Return text without the marks that files joined end to end leave at the beginning of lines."""
    # A single byte is found many times faster than three.
    is_marked = UTF8_MARK[:1] in data and UTF8_MARK in data
    return data.replace(b"\n" + UTF8_MARK, b"\n") if is_marked else data


def is_blank(data: bytes, blanks: bytes) -> bool:
    """Return whether there is nothing but these bytes; most text is told by its first one."""
    return not data[:1].strip(blanks) and not data.strip(blanks)


def balanced_rows(rows: int) -> int:
    """Return the rows of a batch, about `BATCH_ROWS`, so that the batches of one block are of a size."""
    return -(-rows // max(1, round(rows / BATCH_ROWS))) or 1


def balanced(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a batch in batches of about `BATCH_ROWS`."""
    size = balanced_rows(batch.num_rows)
    return (batch.slice(at, size) for at in range(0, batch.num_rows, size))


def gathered[T](items: Iterable[T], size: Callable[[T], float], least: float) -> Iterator[list[T]]:
    """Yield items in groups of at least this size in all; the last group may be smaller."""
    together: list[T] = []
    amount = 0.0
    for item in items:
        together.append(item)
        amount += size(item)
        del item  # once it is handed on, nothing here is to hold it
        if amount >= least:
            yield together
            together, amount = [], 0.0
    if together:
        yield together


def joined(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Join consecutive small batches of one schema, such as those of many small files.

    A batch of about `BATCH_ROWS` rows or `BLOCK_SIZE` bytes passes unchanged; the order stays.
    """
    for _, alike in itertools.groupby(batches, key=lambda batch: (batch.schema, batch.schema.metadata)):
        for some in gathered(alike, lambda one: max(one.num_rows / BATCH_ROWS, one.nbytes / BLOCK_SIZE), 0.5):
            batch = some[0] if len(some) == 1 else pa.concat_batches(some)
            some.clear()
            yield batch
            del batch  # while the next one is read


def _stream_blocks(path: str, begin: int, size: int, find_cut: FindCut | None) -> Iterator[Segment]:
    with storage.open_input(path) as stream:
        stream.read(begin)
        offset, rest = begin, b""
        # Growing with what is already held keeps a very long record from being searched again and again.
        while chunk := stream.read(max(size, len(rest))):
            data = rest + chunk
            cut = find_cut(data) if find_cut else data.rfind(b"\n") + 1
            if not cut and len(data) > LONGEST_LINE:
                raise _too_long(path, offset)
            if cut:
                yield Segment(path, offset, data[:cut])
            offset, rest = offset + cut, data[cut:]
        if rest:
            yield Segment(path, offset, rest)


def _range_blocks(piece: FileRange, begin: int, size: int) -> Iterator[Segment]:
    with storage.open_random(piece.path) as file:
        if piece.is_whole_file and storage.compression(piece.path, file.read_at(8, 0)):
            yield from _stream_blocks(piece.path, begin, size, None)
            return
        total = file.size()
        end = min(total, piece.end or total)
        offset = begin if piece.start <= begin else _next_line(file, piece.start)
        while offset < end:
            # Finding the end first saves copying the block to cut it off there.
            stop = total if offset + size >= total == end else _next_line(file, min(offset + size, end))
            if stop - offset > size + LONGEST_LINE:
                raise _too_long(piece.path, offset)
            yield Segment(piece.path, offset, file.read_at(stop - offset, offset))
            offset = stop


def _too_long(path: str, offset: int) -> DatasetError:
    return DatasetError.of("data_files.long_line", file=path, size=LONGEST_LINE >> 20, offset=offset)


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


# Lines of many files together: few large blocks for the parsers, and the way back to file and line.


# Some 30,000 capture records.
LINES_BLOCK_SIZE = 24 << 20


class Line(NamedTuple):
    """One line, its newline included, and its place."""

    path: str
    data: bytes
    number: int
    block: "LineBlock"

    def where(self) -> str:
        """Return the place and the beginning of the line."""
        return f"{self.block.place(self.number)}: {self.excerpt()!r}"

    def excerpt(self) -> str:
        """Return the first 80 characters."""
        return self.data[:320].decode(errors="replace").strip()[:80]

    def members(self) -> dict[str, Any]:
        """Return what errors on the line name."""
        file, line = self.block.file_and_line(self.number)
        return {"file": file, "line": line, "excerpt": self.excerpt()}


@dataclass(frozen=True)
class LineBlock:
    """Segments read together."""

    segments: tuple[Segment, ...]
    data: bytes = field(repr=False)

    def lines(self, part: bytes | None = None, first: int = 0) -> Iterator[Line]:
        """Yield the lines, or those of a part from line `first` on, without blank ones, which count."""
        lines = (self.data if part is None else part)[:-1].split(b"\n")
        origins = self.sources(np.arange(first, first + len(lines)))
        for number, (origin, data) in enumerate(zip(origins.tolist(), lines, strict=True), first):
            if data and not data.isspace():
                yield Line(self.segments[origin].path, data + b"\n", number, self)

    def sources(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return in which segment each of some lines is."""
        lines = [line_ends(segment.data) for segment in self.segments[:-1]]
        return np.searchsorted(np.cumsum(lines), numbers, side="right")

    def file_and_line(self, number: int) -> tuple[str, int]:
        """Return the path, and the number in that file (from 1), of a line of the block (from 0)."""
        at = int(self.sources(np.array([number]))[0])
        segment = self.segments[at]
        number -= sum(line_ends(earlier.data) for earlier in self.segments[:at])
        if segment.numbers:
            return segment.path, segment.numbers[number]
        return segment.path, storage.lines_before(segment.path, segment.offset) + number + 1

    def place(self, number: int) -> str:
        """Return how messages call a line of the block."""
        path, line = self.file_and_line(number)
        return f"{path} line {line}"


def blocks_of_lines(parts: Sequence[FileRange], size: int = LINES_BLOCK_SIZE) -> Iterator[LineBlock]:
    """Yield the lines of many pieces in blocks of about `size` bytes.

    Raises
    ------
    DatasetError
        When a file cannot be read, naming it and the cause.
    """
    for log in (piece.log for piece in parts if piece.log is not None):
        yield from log.blocks(log, size)
    yield from joined_segments(segments_of([piece for piece in parts if piece.log is None], size), size)


def segments_of(parts: Sequence[FileRange], size: int) -> Iterator[Segment]:
    """Yield the lines of pieces, about `size` bytes of a piece together."""
    for piece in parts:
        for block in line_blocks(piece, size=size):
            yield block if block.data.endswith(b"\n") else block._replace(data=block.data + b"\n")


def joined_segments(segments: Iterable[Segment], size: int) -> Iterator[LineBlock]:
    """Yield segments in blocks of about `size` bytes."""
    for together in gathered(segments, lambda segment: len(segment.data), size // 2):
        data = together[0].data if len(together) == 1 else b"".join(segment.data for segment in together)
        yield LineBlock(tuple(together), data)
