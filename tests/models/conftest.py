"""Models that several tests score with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from models.model_files import NAMES, ROWS


@pytest.fixture(scope="session")
def boosters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    import lightgbm
    import xgboost

    folder = tmp_path_factory.mktemp("boosters")
    labels = (ROWS[:, 0] + ROWS[:, 1] ** 2 > 0.5).astype(int)
    classes = np.digitize(ROWS[:, 0], [-0.5, 0.5])
    quiet = {"verbosity": -1, "num_leaves": 5, "min_data_in_leaf": 5, "num_threads": 1}
    kinds = np.column_stack([np.random.default_rng(5).integers(0, 6, 300), ROWS[:, 1]])
    trained = {
        "binary.json": xgboost.train(
            {"objective": "binary:logistic", "nthread": 1},
            xgboost.DMatrix(ROWS, labels, feature_names=NAMES),
            5,
        ),
        "classes.ubj": xgboost.train(
            {"objective": "multi:softprob", "num_class": 3, "nthread": 1}, xgboost.DMatrix(ROWS, classes), 3
        ),
        "binary.txt": lightgbm.train(
            quiet | {"objective": "binary"}, lightgbm.Dataset(ROWS, labels, feature_name=NAMES), 6
        ),
        "classes.txt": lightgbm.train(
            quiet | {"objective": "multiclass", "num_class": 3}, lightgbm.Dataset(ROWS, classes), 3
        ),
        "kinds.txt": lightgbm.train(
            quiet | {"objective": "regression", "min_data_per_group": 5},
            lightgbm.Dataset(kinds, kinds[:, 0] % 2 + ROWS[:, 1], categorical_feature=[0]),
            4,
        ),
    }
    for name, model in trained.items():
        model.save_model(folder / name)
    return {"folder": folder, "kinds": kinds, **trained}
