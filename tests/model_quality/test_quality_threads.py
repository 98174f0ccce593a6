"""Losses and estimates are the same however many threads BLAS has."""

from blas_threads import printed_by_threads

COMPUTE = """
import numpy as np
from analyzers.model_quality.analyzer import estimate
from analyzers.model_quality.metrics import ProbabilitySums
from analyzers.model_quality.metrics import ScoreHistogram
from analyzers.model_quality.documents import QualityStatistics, ScoreCalibration
rng = np.random.default_rng(7)
scores = rng.random(90_000)
hits = rng.random(90_000) < scores
sums, unlabelled = ProbabilitySums(), ScoreHistogram()
sums.add_binary(scores, hits)
unlabelled.add(scores, scores >= 0.5)
calibration = ScoreCalibration("positive label", 1000, [0.0, 0.4, 1.0], [0.1, 0.3, 0.9])
print(sums.log_loss.tolist(), sums.brier.tolist())
for problem in ("BinaryClassification", "MulticlassClassification"):
    statistics = QualityStatistics(problem_type=problem, item_count=0, metrics={})
    print(estimate(statistics, unlabelled, calibration)["metrics"])
"""


def test_losses_and_estimates_do_not_depend_on_how_many_threads_blas_has() -> None:
    assert len(printed_by_threads(COMPUTE)) == 1
