"""Hostile inputs for every reader, each made from its reader and number alone."""

from __future__ import annotations

import random
from collections.abc import Callable

from benchmarks.fuzz_case import Case
from benchmarks.fuzz_datasets import capture_case, csv_case, json_case, labels_case, parquet_case
from benchmarks.fuzz_jobs import (
    constraints_case,
    model_quality_case,
    script_case,
    settings_case,
    statistics_case,
)
from benchmarks.fuzz_models import answer_case, attribution_case, bias_case, history_case, model_case


def make_case(reader: str, number: int) -> Case:
    """Return hostile input `number` of a reader; the same in every process and on every machine."""
    return READERS[reader](random.Random(f"{reader} {number}"))


READERS: dict[str, Callable[[random.Random], Case]] = {
    "csv": csv_case,
    "json": json_case,
    "parquet": parquet_case,
    "capture": capture_case,
    "statistics": statistics_case,
    "constraints": constraints_case,
    "settings": settings_case,
    "script": script_case,
    "labels": labels_case,
    "model_quality": model_quality_case,
    "bias": bias_case,
    "attribution": attribution_case,
    "model": model_case,
    "answer": answer_case,
    "history": history_case,
}
