"""Moments are the same wherever they are computed."""

import numpy as np
import pytest
from blas_threads import printed_by_threads

from analyzers.data_quality.column_summary import Moments

COMPUTE = """
import numpy as np
from analyzers.data_quality.column_summary import Moments
moments = Moments()
moments.add(np.random.default_rng(7).lognormal(size=90_000))
moments.add_weighted(np.random.default_rng(8).normal(size=30_000), np.arange(1, 30_001))
print(repr((moments.total, moments.squares)))
"""


def test_moments_do_not_depend_on_how_many_threads_blas_has():
    assert len(printed_by_threads(COMPUTE)) == 1


def test_squares_are_those_of_the_values():
    values = np.random.default_rng(9).normal(3.0, 2.0, size=50_000)
    moments = Moments()
    moments.add(values, scratch=np.empty(60_000))
    assert moments.standard_deviation == pytest.approx(values.std(), rel=1e-13)


def test_the_deviation_of_numbers_near_1e15_is_exact():
    digits = np.random.default_rng(1).integers(0, 10, 100_000).astype(np.float64)
    moments = Moments()
    for part in np.array_split(1e15 + digits, 7):
        other = Moments()
        other.add(part)
        moments.merge(other)
    assert moments.standard_deviation == pytest.approx(float(np.std(digits)), rel=1e-12)
    values, counts = np.unique(1e15 + digits, return_counts=True)
    weighted = Moments()
    weighted.add_weighted(values, counts)
    assert weighted.standard_deviation == pytest.approx(float(np.std(digits)), rel=1e-12)
