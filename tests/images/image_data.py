"""Small datasets the image tests write: a baseline and a window in which one feature moved."""

from __future__ import annotations

from pathlib import Path

import numpy as np

ROWS = 1_000
FEATURES = ("age", "income", "segment")


def write_baseline(folder: Path, rows: int = ROWS) -> Path:
    """Write `folder`/data.csv from the usual distribution; return the folder."""
    return _write(folder, rows, seed=1, shift=0.0)


def write_window(folder: Path) -> Path:
    """Write `folder`/data.csv with incomes three standard deviations higher; return the folder."""
    return _write(folder, ROWS, seed=2, shift=3.0)


def _write(folder: Path, rows: int, seed: int, shift: float) -> Path:
    generator = np.random.default_rng(seed)
    ages = generator.integers(18, 90, rows)
    incomes = 40_000 + 8_000 * (generator.standard_normal(rows) + shift)
    segments = generator.choice(["private", "business", "public"], rows)
    lines = [",".join(FEATURES)]
    lines += [
        f"{age},{income:.2f},{segment}" for age, income, segment in zip(ages, incomes, segments, strict=True)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "data.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "data.csv").chmod(0o644)
    folder.chmod(0o755)
    return folder
