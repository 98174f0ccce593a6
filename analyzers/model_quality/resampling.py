"""How far a metric would move with other rows of the same kind: resampling of counts, not of rows.

A resample gives every cell of a confusion matrix a random weight instead of drawing rows again, so its cost
does not depend on the number of rows. Weights are gamma distributed (the Bayesian bootstrap, Rubin 1981);
2 x 2 tables get half a row more in each cell (Jeffreys' prior), which keeps intervals honest where a cell is
empty.
"""

from __future__ import annotations

import numpy as np

from analyzers.model_quality.cells import Codes, Floats

RESAMPLES = 1000

# For the middle 95 % of 2 x 2 tables, and for their tails, which decide.
INTERVAL_RESAMPLES = 4_000
TABLE_RESAMPLES = 20_000

# The originals' spread: that of so many subsamples of this share of the rows.
SUBSAMPLES = 5
SUBSAMPLED_SHARE = 0.8

# Weights drawn at most, and held at once.
_MOST_WEIGHTS = 100_000_000
_BLOCK_WEIGHTS = 4_000_000


def table_draws(cells: Codes, generator: np.random.Generator, resamples: int) -> Floats:
    """Return resampled 2 x 2 tables, shape ``(resamples, 4)``."""
    return generator.standard_gamma(cells + 0.5, size=(resamples, cells.size))


def cell_blocks(counts: Codes, generator: np.random.Generator) -> list[Floats]:
    """Return resampled counts in blocks of shape ``(resamples, cells)``.

    Fewer than 1000 resamples when there are more than 100,000 cells.
    """
    resamples = max(200, min(RESAMPLES, _MOST_WEIGHTS // max(1, counts.size)))
    rows = max(1, _BLOCK_WEIGHTS // max(1, counts.size))
    sizes = [min(rows, resamples - start) for start in range(0, resamples, rows)]
    return [generator.standard_gamma(counts.astype(np.float64), size=(size, counts.size)) for size in sizes]


def subsamples(counts: Codes, generator: np.random.Generator) -> Floats:
    """Return the originals' five subsamples of 80 % of the rows, drawn without replacement."""
    drawn = int(SUBSAMPLED_SHARE * counts.sum())
    found = generator.multivariate_hypergeometric(counts, drawn, size=SUBSAMPLES, method="marginals")
    return found.astype(np.float64)


def deviation(draws: Floats) -> float | None:
    """Return the standard deviation of the defined draws, None when there are not two."""
    defined = draws[np.isfinite(draws)]
    return float(np.std(defined, ddof=1)) if defined.size > 1 else None


def quantile_interval(draws: Floats) -> tuple[float, float] | None:
    """Return the middle 95 % of the defined draws."""
    defined = draws[np.isfinite(draws)]
    if not defined.size:
        return None
    low, high = np.quantile(defined, (0.025, 0.975))
    return float(low), float(high)
