"""Evidently's own summary of a dataset, read with pandas and written as JSON."""

from __future__ import annotations

import sys

import pandas as pd
from evidently import Dataset, Report
from evidently.presets import DataSummaryPreset

if __name__ == "__main__":
    kind, path = sys.argv[1:]
    frame = {"parquet": pd.read_parquet, "csv": pd.read_csv}[kind](path)
    snapshot = Report([DataSummaryPreset()]).run(Dataset.from_pandas(frame), None)
    print(snapshot.json())
