"""Which columns of windows have drifted, by Evidently's defaults: one line of names a window."""

from __future__ import annotations

import json
import re
import sys
import warnings
from pathlib import Path

import pandas as pd
from evidently import Dataset, Report
from evidently.presets import DataDriftPreset

_METRIC = re.compile(
    r"ValueDrift\(column=(?P<column>.*),method=(?P<method>.*),threshold=(?P<threshold>[^,]*)\)"
)


def drifted(baseline: Dataset, window: Dataset) -> list[str]:
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
    baseline, latest = Dataset.from_pandas(pd.DataFrame()), ""
    for path in sorted(folder.glob("window-*.parquet")):
        number = path.stem.split("-")[1]
        if number != latest:
            baseline = Dataset.from_pandas(pd.read_parquet(folder / f"baseline-{number}.parquet"))
            latest = number
        print(json.dumps(drifted(baseline, Dataset.from_pandas(pd.read_parquet(path)))), flush=True)
