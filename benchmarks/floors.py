"""Merely reading the data: what no profile of it can undercut with the same reader.

Run as a script, so that a fresh process imports nothing but its reader.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path


def iterate_parquet(path: Path) -> int:
    """Iterate over all columns with pyarrow, decoding on all cores."""
    import pyarrow.parquet as pq

    return sum(batch.num_rows for batch in pq.ParquetFile(path).iter_batches(use_threads=True))


def read_row_groups(path: Path) -> int:
    """Read one row group after the other, decoding its columns on all cores: pyarrow's quickest way."""
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path, memory_map=True)
    return sum(file.read_row_group(group).num_rows for group in range(file.num_row_groups))


def stream_csv(path: Path) -> int:
    """Stream all columns with pyarrow's incremental reader, types inferred."""
    import pyarrow.csv

    with pyarrow.csv.open_csv(path) as reader:
        return sum(batch.num_rows for batch in reader)


def parse_captures(path: Path) -> int:
    """Parse every line with orjson, one after the other."""
    import orjson

    return sum(1 for line in _lines(path) if orjson.loads(line))


def _lines(folder: Path) -> Iterator[bytes]:
    for path in sorted(folder.rglob("*.jsonl")):
        with path.open("rb") as file:
            yield from file


FLOORS: dict[str, Callable[[Path], int]] = {
    "parquet": iterate_parquet,
    "row-groups": read_row_groups,
    "csv": stream_csv,
    "captures": parse_captures,
}

if __name__ == "__main__":
    print(FLOORS[sys.argv[1]](Path(sys.argv[2])), "rows")
