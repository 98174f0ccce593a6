"""The benchmark's statistics with DuckDB, in one query; with "scan" in front, merely reading the CSV file."""

from __future__ import annotations

import json
import sys

import duckdb

QUANTILES = [round(0.05 * step, 2) for step in range(1, 20)]


def one_row(query: str) -> dict[str, object]:
    cursor = duckdb.connect().execute(query)
    names = [name for name, *_ in cursor.description]
    [row] = cursor.fetchall()
    return dict(zip(names, row, strict=True))


def profile(source: str) -> dict[str, object]:
    columns = duckdb.connect().execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
    expressions = ["count(*) AS row_count"]
    for name, kind, *_ in columns:
        expressions += [f'count("{name}") AS "{name}.count"']
        expressions += [f'approx_count_distinct("{name}") AS "{name}.distinct"']
        if kind == "VARCHAR":
            expressions += [f'histogram("{name}") AS "{name}.categories"']
            continue
        expressions += [f'{f}("{name}") AS "{name}.{f}"' for f in ("avg", "sum", "stddev_pop", "min", "max")]
        expressions += [f'approx_quantile("{name}", {QUANTILES}) AS "{name}.quantiles"']
    return one_row(f"SELECT {', '.join(expressions)} FROM {source}")


def scan(source: str) -> dict[str, object]:
    """Convert every field and keep nothing but the number of values."""
    return one_row(f"SELECT count(COLUMNS(*)) FROM {source}")


if __name__ == "__main__":
    *options, kind, path = sys.argv[1:]
    reader = {"parquet": "read_parquet", "csv": "read_csv"}[kind]
    work = scan if options == ["scan"] else profile
    print(json.dumps(work(f"{reader}('{path}')")))
