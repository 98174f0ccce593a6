"""Sums that come out the same to the last digit wherever they are computed."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[Any]


def sum_of_products(left: Numbers, right: Numbers, scratch: Numbers | None = None) -> float:
    """Return the sum of ``left * right``.

    `numpy.dot` hands vectors of more than 10,000 numbers to BLAS, which divides them among as many threads
    as are free: the last digit then changes between hosts, and between two runs on one. Here numpy's
    pairwise summation decides the order, at no more cost.

    Parameters
    ----------
    left, right
        Of one shape (n,).
    scratch
        Memory of that shape for the products; may be one of the two.
    """
    return float(np.multiply(left, right, out=scratch).sum())
