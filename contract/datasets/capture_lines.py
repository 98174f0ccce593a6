"""Lines of many files together: few large blocks for the parsers, and the way back to file and line."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from contract.datasets import pieces
from contract.datasets.pieces import Piece
from contract.errors import DatasetError

# Some 30,000 capture records.
BLOCK_SIZE = 24 << 20


@dataclass(frozen=True)
class Segment:
    """Whole lines of one file, each with its newline, and where they start in the (decompressed) file."""

    path: str
    offset: int
    data: bytes


@dataclass(frozen=True)
class Line:
    """One line, its newline included, and its place."""

    path: str
    data: bytes
    number: int
    block: LineBlock

    def line_number(self) -> int:
        """Return the number of the line in its file, from 1."""
        return self.block.file_and_line(self.number)[1]

    def is_first_of_file(self) -> bool:
        """Return whether no other line but blank ones stands before it in the file."""
        first = self.block.segments[0]
        return self.number == self.block.first_number and first.offset == 0

    def where(self) -> str:
        """Return the place and the beginning of the line."""
        return f"{self.block.place(self.number)}: {self.excerpt()!r}"

    def excerpt(self) -> str:
        """Return the first 80 characters."""
        return self.data[:320].decode(errors="replace").strip()[:80]


@dataclass(frozen=True)
class LineBlock:
    """Segments read together."""

    segments: tuple[Segment, ...]
    data: bytes = field(repr=False)

    def lines(self) -> Iterator[Line]:
        """Yield the lines that are not blank; their numbers count blank ones."""
        number = 0
        for segment in self.segments:
            for data in _split(segment.data):
                if not data.isspace():
                    yield Line(segment.path, data, number, self)
                number += 1

    @functools.cached_property
    def first_number(self) -> int:
        """Return the number of the first line that is not blank."""
        return next((line.number for line in self.lines()), 0)

    def file_and_line(self, number: int) -> tuple[str, int]:
        """Return the path, and the number in that file (from 1), of a line of the block (from 0)."""
        for segment in self.segments:
            count = segment.data.count(b"\n")
            if number < count:
                return segment.path, pieces.lines_before(segment.path, segment.offset) + number + 1
            number -= count
        raise IndexError(number)

    def place(self, number: int) -> str:
        """Return how messages call a line of the block."""
        path, line = self.file_and_line(number)
        return f"{path} line {line}"


def line_blocks(parts: Sequence[Piece], size: int = BLOCK_SIZE) -> Iterator[LineBlock]:
    """Yield the lines of many pieces in blocks of about `size` bytes.

    Raises
    ------
    DatasetError
        When a file cannot be read, naming it and the cause.
    """
    together: list[Segment] = []
    gathered = 0
    for piece in parts:
        for block in pieces.line_blocks(piece, size=size):
            data = pieces.text_of(block)
            if not data.endswith(b"\n"):
                data += b"\n"
            together.append(Segment(piece.path, block.offset, data))
            gathered += len(data)
            if gathered >= size // 2:
                yield _block(together)
                together, gathered = [], 0
    if together:
        yield _block(together)


def not_a_record(line: Line, reason: str) -> DatasetError:
    """Return the error for a line that is no capture record; `reason` says why."""
    return DatasetError(
        f"{line.path} line {line.line_number()} is not a capture record, since {reason}: {line.excerpt()!r}; "
        "mend or remove the line, or set dataset_format to what the file holds."
    )


def _block(segments: list[Segment]) -> LineBlock:
    data = segments[0].data if len(segments) == 1 else b"".join(segment.data for segment in segments)
    return LineBlock(tuple(segments), data)


def _split(data: bytes) -> list[bytes]:
    return [line + b"\n" for line in data[:-1].split(b"\n")]
