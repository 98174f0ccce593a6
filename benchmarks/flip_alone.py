"""Time the flip test by itself, the data in memory: prints ``seconds N``.

Arguments: a Parquet file, the facet.
"""

from __future__ import annotations

import sys
import time

import numpy as np
import pyarrow.parquet as pq

from analyzers.bias.flip_test import flip_test

if __name__ == "__main__":
    path, facet = sys.argv[1:]
    table = pq.read_table(path)
    names = [name for name in table.column_names if name not in (facet, "label", "prediction")]
    features = np.column_stack([table[name].to_numpy().astype(np.float64) for name in names])
    in_group = table[facet].to_numpy() == 1
    predicted = table["prediction"].to_numpy() == 1
    import scipy.spatial  # noqa: F401 - loaded before the clock starts, as the peer's libraries are

    started = time.perf_counter()
    value, _ = flip_test(features, in_group, predicted)
    print("seconds", time.perf_counter() - started)
    print(facet, "FT", value)
