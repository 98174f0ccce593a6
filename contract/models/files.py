"""Model files: what kind one is shows in its first bytes, for ONNX in its name."""

from __future__ import annotations

from typing import Any

from contract.analysis_config.members import PredictorConfig
from contract.datasets import storage
from contract.errors import ModelError
from contract.models.local import LocalModel
from contract.models.policy import Policy
from contract.models.protocol import Model

_PICKLE = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_PICKLE_NAMES = (".pkl", ".pickle", ".joblib")
_TAR_NAMES = (".tar.gz", ".tgz", ".tar")
_OLD_XGBOOST = b"binf"


def open_file(
    path: str, predictor: PredictorConfig, policy: Policy, allow_pickled_model: bool = False
) -> Model:
    """Return the model of a file.

    Parameters
    ----------
    path
        Local or on S3.
    predictor
        The shape of requests and answers, for an ``inference.py``; which outputs to take, for ONNX; names of
        classes.
    policy
        For the number of threads.
    allow_pickled_model
        Whether a pickled model may be loaded, which runs code that its maker chose.

    Raises
    ------
    ModelError
        When the file cannot be read, is damaged, or is of no known kind.
    """
    reopen = (open_file, (path, predictor, policy, allow_pickled_model))
    if path.endswith(_TAR_NAMES):
        from contract.models.archive import open_archive

        return open_archive(path, predictor, policy, allow_pickled_model, reopen)
    return open_single(path, path, predictor, policy, allow_pickled_model, reopen)


def open_single(
    path: str,
    where: str,
    predictor: PredictorConfig,
    policy: Policy,
    allow_pickled_model: bool,
    reopen: Any,
) -> LocalModel:
    """Return the model of a file that is no archive, called `where` in messages."""
    if path.endswith(".onnx"):
        from contract.models.onnx_model import open_onnx

        # By its path, so that weights in files beside it are found.
        content = storage.read_bytes(path, ModelError)
        source = content if storage.is_s3(path) else path
        return open_onnx(source, where, predictor, policy, reopen)
    content = storage.read_bytes(path, ModelError)
    if path.endswith(_PICKLE_NAMES) or content.startswith(_PICKLE):
        from contract.models.pickled import open_pickled

        return open_pickled(content, where, predictor, allow_pickled_model, reopen)
    if content.startswith(b"{"):
        from contract.models.boosters import open_xgboost

        return open_xgboost(content, where, predictor, policy, reopen)
    if content.startswith((b"tree\n", b"tree\r\n")):
        from contract.models.boosters import open_lightgbm

        return open_lightgbm(content, where, predictor, policy, reopen)
    if content.startswith(b"PK\x03\x04"):
        from contract.models.linear_learner import open_linear_learner

        return open_linear_learner(content, where, predictor, reopen)
    raise _unknown(content, where)


def _unknown(content: bytes, where: str) -> ModelError:
    if content.startswith(_OLD_XGBOOST):
        return ModelError(
            f"model {where} is in XGBoost's old binary format, which its library no longer reads; load it "
            "with an XGBoost before 3.1 and save it with save_model('model.json')."
        )
    begin = repr(content[:20]) if content else "nothing: it is empty"
    return ModelError(
        f"model {where} is of no known kind (it begins with {begin}); give an ONNX file called .onnx, "
        "XGBoost's JSON or UBJSON, LightGBM's text, or a model.tar.gz with one of them or an inference.py."
    )
