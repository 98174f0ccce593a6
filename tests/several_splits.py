"""A dataset that makes several splits: Parquet files that are together over the size of one split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


def write_rows(folder: Path, files: int, rows: int) -> Path:
    """Write `files` files of `rows` rows; return the folder."""
    generator = np.random.default_rng(7)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(files):
        table = pa.table(
            {
                "amount": generator.lognormal(3.0, 1.0, rows),
                "count": generator.integers(0, 50, rows),
                "kind": generator.choice(["a", "b", "c"], rows),
            }
        )
        path = folder / f"{number}.parquet"
        pq.write_table(table, path, row_group_size=rows // 2)
        path.chmod(0o644)
    folder.chmod(0o755)
    return folder
