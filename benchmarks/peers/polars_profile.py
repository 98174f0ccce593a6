"""The benchmark's statistics with Polars, in one lazy query.

The distribution is a choice: exact quantiles (Polars has no approximate ones) or, cheaper, a histogram.
"""

from __future__ import annotations

import sys

import polars as pl

QUANTILES = [round(0.05 * step, 2) for step in range(1, 20)]


def distribution(name: str, choice: str) -> list[pl.Expr]:
    column = pl.col(name)
    if choice == "histogram":
        return [column.hist(bin_count=10).implode().alias(f"{name}.histogram")]
    return [column.quantile(QUANTILES).implode().alias(f"{name}.quantiles")]


def expressions(name: str, kind: pl.DataType, choice: str) -> list[pl.Expr]:
    column = pl.col(name)
    both = [
        column.count().alias(f"{name}.count"),
        column.null_count().alias(f"{name}.missing"),
        column.approx_n_unique().alias(f"{name}.distinct"),
    ]
    if kind == pl.String:
        return [*both, column.value_counts().implode().alias(f"{name}.categories")]
    return [
        *both,
        column.mean().alias(f"{name}.mean"),
        column.sum().alias(f"{name}.sum"),
        column.std(ddof=0).alias(f"{name}.std"),
        column.min().alias(f"{name}.min"),
        column.max().alias(f"{name}.max"),
        *distribution(name, choice),
    ]


if __name__ == "__main__":
    choice, kind, path = sys.argv[1:]
    frame = {"parquet": pl.scan_parquet, "csv": pl.scan_csv}[kind](path)
    schema = frame.collect_schema()
    query = frame.select(
        pl.len().alias("row_count"),
        *(expression for name, kind in schema.items() for expression in expressions(name, kind, choice)),
    )
    print(query.collect(engine="in-memory").write_json())
