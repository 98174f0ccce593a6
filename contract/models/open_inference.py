"""Models behind the Open Inference Protocol, version 2 (KServe, Triton, MLServer), over HTTP and JSON.

The model's own description (``GET /v2/models/NAME``) says whether it takes one tensor of shape
(rows, features) or one tensor per feature, and of what types.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import orjson
import pyarrow as pa

from contract.analysis_config.members import Locator, PredictorConfig
from contract.errors import ModelError
from contract.models.answers import AnswerError, Reader
from contract.models.asking import Progress, quoted
from contract.models.channel import USER_AGENT, ChannelError, HttpChannel
from contract.models.columns import numeric_matrix, select
from contract.models.endpoint import Codec, EndpointModel, check_health
from contract.models.policy import Policy
from contract.models.protocol import Scores
from contract.wording import several

_JSON = "application/json"
_INFER = "/infer"


@dataclass(frozen=True)
class Tensor:
    """A tensor of a model's description; unknown sizes are -1."""

    name: str
    datatype: str
    shape: tuple[int, ...]


def open_inference(
    url: str, predictor: PredictorConfig, policy: Policy, progress: Progress | None = None
) -> EndpointModel:
    """Return the model at ``http://host/v2/models/NAME``, where ``/versions/VERSION`` may follow.

    ``predictor.probability`` and ``predictor.label`` are names or positions of output tensors.

    Raises
    ------
    ModelError
        When it cannot be reached, is not ready, or takes tensors that rows of columns cannot fill.
    """
    path = urlsplit(url).path.rstrip("/").removesuffix(_INFER)
    model_url = urlsplit(url)._replace(path=path).geturl()
    headers = {"Content-Type": _JSON, "Accept": _JSON, "User-Agent": USER_AGENT}
    channel = HttpChannel(model_url + _INFER, headers, policy.timeout)
    check_health(channel, f"{path}/ready", policy)
    try:
        inputs = _described_inputs(channel, path, model_url)
    except ModelError:
        channel.close()
        raise
    if inputs and any(tensor.shape[:1] == (1,) for tensor in inputs):
        policy = replace(policy, most_rows=1)

    def render(table: pa.RecordBatch) -> bytes:
        tensors = _tensors(table, inputs, model_url)
        return orjson.dumps({"inputs": tensors}, option=orjson.OPT_SERIALIZE_NUMPY)

    def scores(body: bytes, rows: int) -> Scores:
        return _scores(_output(body, predictor.probability, "probability"), rows)

    def labels(body: bytes, rows: int) -> list[Any]:
        values = _output(body, predictor.label, "label").get("data")
        if not isinstance(values, list) or len(values) != rows:
            raise AnswerError(f"does not hold one label for each of {rows} records")
        return values

    reader = Reader(scores, labels if predictor.label is not None else None)
    codec = Codec(_JSON, _JSON, render, reader)
    return EndpointModel(
        (open_inference, (url, predictor, policy)), channel, codec, predictor, policy, progress
    )


def _described_inputs(channel: HttpChannel, path: str, where: str) -> tuple[Tensor, ...]:
    """Return the model's inputs; none when the server does not describe it."""
    try:
        reply = channel.get(path)
    except ChannelError as error:
        raise ModelError(f"model {where} did not describe itself: {error}; check the address.") from error
    if reply.status != 200:
        if reply.status in (400, 404):
            raise ModelError(
                f"model {where} is not there: status {reply.status}, {quoted(reply.body)}; check the name "
                "in the address."
            )
        return ()
    try:
        inputs = orjson.loads(reply.body).get("inputs") or []
        return tuple(
            Tensor(str(one["name"]), str(one["datatype"]), tuple(int(size) for size in one["shape"]))
            for one in inputs
        )
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"model {where} describes itself in a way that is not of the Open Inference Protocol: "
            f"{quoted(reply.body)}; check that the address is of version 2 of the protocol."
        ) from error


def _tensors(table: pa.RecordBatch, inputs: Sequence[Tensor], where: str) -> list[dict[str, Any]]:
    if not inputs:
        inputs = (Tensor("input-0", "FP64", (-1, table.num_columns)),)
    if len(inputs) == 1 and (len(inputs[0].shape) != 2 or inputs[0].shape[1] != 1):
        tensor = inputs[0]
        width = tensor.shape[-1] if len(tensor.shape) == 2 and tensor.shape[-1] > 0 else None
        return [
            _tensor(tensor, select(table, None, width, where), (table.num_rows, table.num_columns), where)
        ]
    table = select(table, [tensor.name for tensor in inputs], None, where)
    return [
        _tensor(tensor, table.select([name]), (table.num_rows, 1)[: len(tensor.shape)], where)
        for tensor, name in zip(inputs, table.schema.names, strict=True)
    ]


def _tensor(tensor: Tensor, table: pa.RecordBatch, shape: tuple[int, ...], where: str) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "shape": list(shape),
        "datatype": tensor.datatype,
        "data": _data(tensor, table, where),
    }


def _data(tensor: Tensor, table: pa.RecordBatch, where: str) -> Any:
    """Return the values row by row, in one flat list."""
    if tensor.datatype == "BYTES":
        columns = [column.cast(pa.string()).fill_null("").to_pylist() for column in table.columns]
        return [value for row in zip(*columns, strict=True) for value in row]
    matrix = numeric_matrix(table, np.float64, where).ravel()
    if tensor.datatype.startswith("FP"):
        return matrix
    if np.isnan(matrix).any():
        raise ModelError(
            f"input {tensor.name!r} of {where} takes {tensor.datatype}, which cannot be missing, but the "
            "data has missing values; fill them in before."
        )
    return matrix.astype(bool if tensor.datatype == "BOOL" else np.int64)


def _output(body: bytes, locator: Locator | None, member: str) -> dict[str, Any]:
    try:
        outputs = orjson.loads(body)["outputs"]
        names = [str(output["name"]) for output in outputs]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise AnswerError("is not an answer of the Open Inference Protocol") from error
    if locator is None:
        floats = [output for output in outputs if str(output.get("datatype")).startswith("FP")]
        if not outputs:
            raise AnswerError("holds no outputs")
        chosen: dict[str, Any] = (floats or outputs)[-1]
        return chosen
    place = names.index(str(locator)) if str(locator) in names else locator
    if isinstance(place, int) and 0 <= place < len(outputs):
        found: dict[str, Any] = outputs[place]
        return found
    raise AnswerError(f"has the outputs {', '.join(names)}, but predictor.{member} is {locator!r}")


def _scores(output: dict[str, Any], rows: int) -> Scores:
    try:
        values = np.array(output["data"], dtype=np.float64).ravel()
        shape = [int(size) for size in output["shape"]]
    except (KeyError, TypeError, ValueError) as error:
        raise AnswerError(f"holds no numbers in output {output.get('name')!r}") from error
    if int(np.prod(shape)) != len(values):
        raise AnswerError(f"holds {several(len(values), 'value')} in place of the shape {shape}")
    if not shape or shape[0] != rows:
        raise AnswerError(
            f"holds {several(shape[0] if shape else 1, 'prediction')} for {several(rows, 'record')}"
        )
    return values.reshape(rows, -1)
