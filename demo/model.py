"""The delay model: gradient-boosted trees that give the probability that a flight will be late."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped] # ships no types

from demo.flights import FEATURES

TEXTS = ("carrier", "origin", "destination", "weekday")
THRESHOLD = 0.5
_SEED = 2013


@dataclass(frozen=True)
class DelayModel:
    """A trained model; it only ever sees `demo.flights.FEATURES`.

    Attributes
    ----------
    classifier
        scikit-learn's.
    values
        The values of each text feature that were seen in training.
    """

    classifier: Any
    values: dict[str, list[str]]


def train(flights: pd.DataFrame) -> DelayModel:
    """Train on the flights that have a label.

    Few leaves and no weights for classes keep the probabilities calibrated: they minimise log loss, and
    ``tests/demo`` holds them to the shares of late flights among those kept out.
    """
    labelled = flights[flights["is_late"].notna()]
    values = {name: sorted(labelled[name].unique()) for name in TEXTS}
    classifier = HistGradientBoostingClassifier(
        learning_rate=0.15,
        max_iter=60,
        max_leaf_nodes=31,
        early_stopping=False,
        categorical_features=[name in TEXTS for name in FEATURES],
        random_state=_SEED,
    )
    # Trees this small are done before several threads have met, on busy machines many times over.
    with threadpool_limits(1):
        classifier.fit(_inputs(labelled, values), labelled["is_late"].astype(int))
    return DelayModel(classifier, values)


def predict(model: DelayModel, flights: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Return the probability that each flight will be late, to six decimals as the endpoint answers.

    Returns
    -------
    numpy.ndarray
        Shape ``(flights,)``.
    """
    with threadpool_limits(1):
        probabilities = model.classifier.predict_proba(_inputs(flights, model.values))[:, 1]
    return np.asarray(probabilities.round(6), dtype=np.float64)


def with_predictions(model: DelayModel, flights: pd.DataFrame) -> pd.DataFrame:
    """Return the flights with two more columns: `probability`, and `predicted_late` (0 or 1)."""
    probability = predict(model, flights)
    return flights.assign(probability=probability, predicted_late=(probability >= THRESHOLD).astype(int))


def _inputs(flights: pd.DataFrame, values: dict[str, list[str]]) -> npt.NDArray[np.float64]:
    """Return numbers, and texts by their place among `values`; a text never seen in training is missing."""
    columns = [_places(flights[name], values[name]) if name in values else flights[name] for name in FEATURES]
    return np.column_stack([column.astype("float64").to_numpy(na_value=np.nan) for column in columns])


def _places(texts: pd.Series, known: list[str]) -> pd.Series:
    return texts.map({text: place for place, text in enumerate(known)})
