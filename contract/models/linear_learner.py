"""Models of SageMaker's Linear Learner: a zip archive with the weights as MXNet stores arrays.

The weights are read directly; MXNet is not needed. Its format of lists of arrays is (little endian): 8 bytes
0x112, 8 reserved, the number of arrays (8), the arrays, the number of names (8), the names, each as its
length (8) and text. An array is 4 bytes 0xF993FAC9, its storage type (4, dense is 0), the number of
dimensions (4), the dimensions (8 each), device type and number (4 each), element type (4), the elements.
"""

from __future__ import annotations

import io
import math
import struct
import zipfile
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from contract.analysis_config.members import PredictorConfig
from contract.errors import ModelError
from contract.models.columns import numeric_matrix
from contract.models.local import LocalModel

_LIST, _ARRAY = 0x112, 0xF993FAC9
_ELEMENTS = {0: "<f4", 1: "<f8"}
_PARAMETERS, _EXTRAS = "mx-mod-0000.params", "additional-params.json"
_MOST_BYTES = 64 << 20


@dataclass(frozen=True)
class LinearModel:
    """Scores that are a function of weighted sums.

    Parameters
    ----------
    weights
        Shape (features, outputs).
    bias
        Shape (outputs,).
    link
        What becomes of the sums: nothing, ``logistic``, or ``softmax``.
    threshold
        Scores above it are label 1, for binary classification.
    """

    weights: NDArray[np.float64]
    bias: NDArray[np.float64]
    link: Literal["identity", "logistic", "softmax"]
    threshold: float | None = None

    def score(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the scores of rows, shape (rows, outputs)."""
        sums: NDArray[np.float64] = matrix @ self.weights + self.bias
        if self.link == "logistic":
            # Of either sign without overflow.
            small = np.exp(-np.abs(sums))
            return np.where(sums >= 0, 1.0, small) / (1.0 + small)
        if self.link == "softmax":
            powers = np.exp(sums - sums.max(axis=1, keepdims=True))
            shares: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
            return shares
        return sums


def open_linear_learner(content: bytes, where: str, predictor: PredictorConfig, reopen: Any) -> LocalModel:
    """Return the model of a Linear Learner archive (``model_algo-1``).

    Raises
    ------
    ModelError
        When it is damaged, or none.
    """
    try:
        model = _read(content)
    except (zipfile.BadZipFile, KeyError, ValueError, struct.error, IndexError, TypeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"{where} is not a Linear Learner model ({reason}); give its model.tar.gz as training wrote it."
        ) from error

    def score(table: pa.RecordBatch) -> Any:
        return model.score(numeric_matrix(table, np.float64, where))

    def label(table: pa.RecordBatch) -> Any:
        return (score(table)[:, 0] > model.threshold).astype(np.int64)

    count = model.weights.shape[0]
    by_threshold = label if model.threshold is not None else None
    return LocalModel(
        where, "linear", model, score, reopen, by_threshold, predictor.label_headers, None, count
    )


def _read(content: bytes) -> LinearModel:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if sum(member.file_size for member in archive.infolist()) > _MOST_BYTES:
            raise ValueError(f"larger than {_MOST_BYTES >> 20} MB unpacked")
        arrays = _arrays(archive.read(_PARAMETERS))
        extras = orjson.loads(archive.read(_EXTRAS))
    weights = arrays["arg:fc0_weight"].astype(np.float64)
    bias = arrays["arg:fc0_bias"].astype(np.float64).reshape(-1)
    kind = extras["predictor_type"]
    if kind == "binary_classifier" and extras.get("loss_type") == "logistic":
        return LinearModel(weights, bias, "logistic", float(extras["threshold"]))
    if kind == "multiclass_classifier":
        return LinearModel(weights, bias, "softmax")
    if kind == "regressor":
        return LinearModel(weights, bias, "identity")
    raise ValueError(f"its predictor_type {kind} with loss {extras.get('loss_type')} is not supported")


def _arrays(content: bytes) -> dict[str, NDArray[np.floating[Any]]]:
    magic, _, count = struct.unpack_from("<QQQ", content, 0)
    if magic != _LIST:
        raise ValueError("its weights are not a list of MXNet arrays")
    offset, arrays = 24, []
    for _ in range(count):
        magic, storage, dimensions = struct.unpack_from("<IiI", content, offset)
        if magic != _ARRAY or storage != 0 or dimensions > 4:
            raise ValueError("its weights are not dense MXNet arrays")
        shape = struct.unpack_from(f"<{dimensions}Q", content, offset + 12)
        offset += 12 + 8 * dimensions
        _, _, element = struct.unpack_from("<iii", content, offset)
        kind = np.dtype(_ELEMENTS[element])
        size = math.prod(shape)
        if size * kind.itemsize > len(content):
            raise ValueError("it claims arrays that it does not hold")
        arrays.append(np.frombuffer(content, kind, size, offset + 12).reshape(shape))
        offset += 12 + size * kind.itemsize
    (names,) = struct.unpack_from("<Q", content, offset)
    offset += 8
    named = {}
    for array in arrays[:names]:
        (length,) = struct.unpack_from("<Q", content, offset)
        named[content[offset + 8 : offset + 8 + length].decode()] = array
        offset += 8 + length
    return named
