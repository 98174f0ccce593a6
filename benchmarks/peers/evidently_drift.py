"""Which columns of windows have drifted, by Evidently's defaults: one line of names a window.

The package infers the type of each column and chooses its test and threshold, as `DataDriftPreset` has it do.
Its drawings are left out, which take most of the preset's time; `--preset` asks the preset itself.

    python evidently_drift.py FOLDER [--preset]
"""

from __future__ import annotations

import json
import re
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from evidently import Dataset, Report
from evidently.legacy.calculations.stattests import get_stattest
from evidently.legacy.core import ColumnType
from evidently.presets import DataDriftPreset

_TYPES = [ColumnType.Numerical, ColumnType.Categorical, ColumnType.Text]
_METRIC = re.compile(
    r"ValueDrift\(column=(?P<column>.*),method=(?P<method>.*),threshold=(?P<threshold>[^,]*)\)"
)


def drifted(baseline: Dataset, window: Dataset) -> list[str]:
    """Return the columns that the package's default tests call drifted."""
    found = []
    for column in window._data_definition.get_columns(_TYPES):
        kind = window._data_definition.get_column_type(column)
        before, now = (
            side.as_dataframe()[column].replace([-np.inf, np.inf], np.nan).dropna()
            for side in (baseline, window)
        )
        if before.empty or now.empty:
            continue  # The preset has no answer either.
        try:
            result = get_stattest(before, now, kind, None)(before, now, kind, None)
        except ValueError:
            continue  # Its classifier of texts has none for a few rows.
        if result.drifted:
            found.append(column)
    return found


def drifted_by_preset(baseline: Dataset, window: Dataset) -> list[str]:
    """Return the columns that the preset calls drifted."""
    found = []
    for metric in Report([DataDriftPreset()]).run(window, baseline).dict()["metrics"]:
        match = _METRIC.fullmatch(metric["metric_name"])
        if match is None:
            continue
        value, threshold = float(metric["value"]), float(match["threshold"])
        if value < threshold if "p_value" in match["method"] else value >= threshold:
            found.append(match["column"])
    return found


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    folder = Path(sys.argv[1])
    ask = drifted_by_preset if "--preset" in sys.argv else drifted
    baseline, latest = Dataset.from_pandas(pd.DataFrame()), ""
    for path in sorted(folder.glob("window-*.parquet")):
        number = path.stem.split("-")[1]
        if number != latest:
            baseline = Dataset.from_pandas(pd.read_parquet(folder / f"baseline-{number}.parquet"))
            latest = number
        print(json.dumps(ask(baseline, Dataset.from_pandas(pd.read_parquet(path)))), flush=True)
