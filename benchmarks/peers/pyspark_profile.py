"""The benchmark's statistics with Spark on local[*]: one aggregation, then all value counts."""

from __future__ import annotations

import json
import sys

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as f
from pyspark.sql.types import StringType

QUANTILES = [round(0.05 * step, 2) for step in range(1, 20)]
QUANTILE_ACCURACY = 1000


def aggregates(name: str, is_text: bool) -> list[Column]:
    both = [
        f.count(name).alias(f"{name}.count"),
        f.approx_count_distinct(name).alias(f"{name}.distinct"),
    ]
    if is_text:
        return both
    return [
        *both,
        f.avg(name).alias(f"{name}.mean"),
        f.sum(name).alias(f"{name}.sum"),
        f.stddev_pop(name).alias(f"{name}.std"),
        f.min(name).alias(f"{name}.min"),
        f.max(name).alias(f"{name}.max"),
        f.percentile_approx(name, QUANTILES, QUANTILE_ACCURACY).alias(f"{name}.quantiles"),
    ]


def profile(frame: DataFrame) -> dict[str, object]:
    text = [field.name for field in frame.schema if isinstance(field.dataType, StringType)]
    expressions = [column for name in frame.columns for column in aggregates(name, name in text)]
    row = frame.agg(f.count("*").alias("row_count"), *expressions).collect()[0]
    # All text columns in one pass: each value becomes a (column, value) row.
    values = frame.select(*text).unpivot([], text, "column", "value")
    counts = values.groupBy("column", "value").count().collect()
    categories = {f"{column}.categories.{value}": count for column, value, count in counts}
    return {**row.asDict(), **categories}


if __name__ == "__main__":
    kind, path = sys.argv[1:]
    session = (
        SparkSession.builder.master("local[*]")
        .config("spark.driver.memory", "8g")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "2")
        .getOrCreate()
    )
    reader = session.read
    table = reader.parquet(path) if kind == "parquet" else reader.csv(path, header=True, inferSchema=True)
    print(json.dumps(profile(table)))
    session.stop()
