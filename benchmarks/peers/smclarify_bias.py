"""Run smclarify's pre-training and post-training metrics of facets in a Parquet file.

The last line printed is ``seconds N``: the time without loading libraries and data.

Arguments: the file, the metrics separated by commas, the facets separated by commas.
"""

from __future__ import annotations

import sys
import time

import pandas as pd
from smclarify.bias import report

if __name__ == "__main__":
    path, metrics, facets = sys.argv[1:]
    wanted = metrics.split(",")
    frame = pd.read_parquet(path)
    group = frame.get("occupation")
    predicted = report.LabelColumn("prediction", frame["prediction"], [1])
    pre = [name for name in wanted if name in ("CDDL", "CI", "DPL", "JS", "KL", "KS", "LP", "TVD")]
    post = [name for name in wanted if name not in pre]
    stages = (
        (report.StageType.PRE_TRAINING, pre, None),
        (report.StageType.POST_TRAINING, post, predicted),
    )
    started = time.perf_counter()
    for facet in facets.split(","):
        for stage, names, prediction in stages:
            if not names:
                continue
            found = report.bias_report(
                frame if prediction is not None else frame.drop(columns="prediction"),
                report.FacetColumn(facet, [1]),
                report.LabelColumn("label", frame["label"], [1]),
                stage,
                prediction,
                names,
                group,
            )
            for metric in found[0]["metrics"]:
                print(facet, metric["name"], metric.get("value"))
    print("seconds", time.perf_counter() - started)
