"""A user's ``inference.py`` with the functions of the SageMaker inference toolkit, run in this process.

``model_fn(model_dir)`` loads the model. A request goes through ``input_fn(body, content_type)``,
``predict_fn(data, model)`` and ``output_fn(prediction, accept)``, or through
``transform_fn(model, body, content_type, accept)`` in their place. By default `input_fn` makes an array of
CSV or JSON, `predict_fn` calls ``model.predict``, and `output_fn` writes CSV, JSON or JSON Lines. Every
function may take the toolkit's context as an additional last parameter; it is None here.
"""

from __future__ import annotations

import importlib.util
import inspect
import io
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contract.analysis_config.members import PredictorConfig
from contract.errors import ModelError, MonitorError
from contract.models.channel import Reply
from contract.models.endpoint import EndpointModel, make_codec
from contract.models.policy import Policy
from contract.scripts import script_failure

_TEXTS = ("text/csv", "application/json")


def open_script(
    script: Path, folder: Path, where: str, predictor: PredictorConfig, policy: Policy, reopen: Any
) -> EndpointModel:
    """Return the model that a script loads and asks.

    Parameters
    ----------
    script
        The unpacked ``inference.py``.
    folder
        The unpacked archive, `model_dir` of ``model_fn``; removed when the model is closed.
    where
        The archive, for messages.
    predictor
        The shape of requests and answers.
    policy
        For the size of requests.
    reopen
        See `EndpointModel`.

    Raises
    ------
    ScriptError
        When the script cannot be loaded, or its ``model_fn`` fails.
    ModelError
        When it does not define the functions.
    """
    from dataclasses import replace

    codec = make_codec(predictor)
    name = f"{where}:{script.relative_to(folder)}"
    module = _load(script, name)
    answer = _handler(module, name, folder, codec.content_type, codec.accept_type)
    channel = _ScriptChannel(name, answer, folder)
    # Its functions were written for one request at a time.
    return EndpointModel(reopen, channel, codec, predictor, replace(policy, concurrency=1))


class _ScriptChannel:
    """Requests answered by functions in this process."""

    def __init__(self, where: str, answer: Callable[[bytes], bytes], folder: Path) -> None:
        self.where = where
        self._answer = answer
        self._folder = folder

    def send(self, body: bytes) -> Reply:
        return Reply(200, self._answer(body))

    def close(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


def _load(script: Path, name: str) -> ModuleType:
    folder = str(script.parent)
    if folder not in sys.path:
        sys.path.append(folder)
    spec = importlib.util.spec_from_file_location(f"inference_{abs(hash(name))}", script)
    if spec is None or spec.loader is None:
        raise ModelError(f"{name} cannot be loaded as Python; give a file inference.py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise script_failure(str(script), "loading", error) from error
    return module


def _handler(
    module: ModuleType, name: str, folder: Path, content_type: str, accept: str
) -> Callable[[bytes], bytes]:
    functions = {
        function: getattr(module, function, None)
        for function in ("model_fn", "input_fn", "predict_fn", "output_fn", "transform_fn")
    }
    if functions["model_fn"] is None:
        raise ModelError(
            f"{name} defines no model_fn(model_dir); add it: it returns the model that predict_fn asks."
        )
    transform = functions["transform_fn"]
    if transform and (functions["input_fn"] or functions["predict_fn"] or functions["output_fn"]):
        raise ModelError(
            f"{name} defines transform_fn beside input_fn, predict_fn or output_fn; keep either it or them."
        )
    read = functions["input_fn"] or _decode
    ask = functions["predict_fn"] or _predict
    write = functions["output_fn"] or _encode
    script = str(module.__file__)

    def call(function: Any, *arguments: Any) -> Any:
        try:
            return _call(function, *arguments)
        except MonitorError:
            raise
        except (Exception, SystemExit) as error:
            raise script_failure(script, function.__name__, error) from error

    model = call(functions["model_fn"], str(folder))

    def answer(body: bytes) -> bytes:
        sent = body.decode() if content_type in _TEXTS else body
        if transform:
            result = call(transform, model, sent, content_type, accept)
        else:
            result = call(write, call(ask, call(read, sent, content_type), model), accept)
        if isinstance(result, tuple):
            result = result[0]  # the second part is the content type
        if isinstance(result, str):
            return result.encode()
        if isinstance(result, bytes | bytearray | memoryview):
            return bytes(result)
        return _encode(result, accept).encode()

    return answer


def _call(function: Any, *arguments: Any) -> Any:
    parameters = inspect.signature(function).parameters.values()
    takes_context = len(parameters) == len(arguments) + 1 and not any(
        parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters
    )
    return function(*arguments, None) if takes_context else function(*arguments)


def _decode(body: str | bytes, content_type: str) -> NDArray[Any]:
    if content_type == "text/csv":
        return np.genfromtxt(io.StringIO(str(body)), delimiter=",", ndmin=2)
    if content_type == "application/json":
        return np.array(json.loads(body))
    raise ModelError(
        f"inference.py defines no input_fn, and there is no default for {content_type}; define "
        "input_fn(body, content_type), or set predictor.content_type to text/csv or application/json."
    )


def _predict(data: Any, model: Any) -> Any:
    if type(model).__module__.startswith("xgboost") and type(model).__name__ == "Booster":
        return model.inplace_predict(data)
    return model.predict(data)


def _encode(prediction: Any, accept: str) -> str:
    values = prediction.tolist() if hasattr(prediction, "tolist") else prediction
    if accept == "text/csv":
        rows = [row if isinstance(row, list | tuple) else [row] for row in values]
        return "\n".join(",".join(str(value) for value in row) for row in rows)
    if accept == "application/json":
        return json.dumps(values)
    return "\n".join(json.dumps(value) for value in values)
