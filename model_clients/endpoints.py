"""Models behind an endpoint that keeps SageMaker's inference contract, or the Open Inference Protocol.

SageMaker's contract is ``POST /invocations`` with CSV, JSON Lines or JSON, and ``GET /ping`` for health.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np
import orjson
import pyarrow as pa

from contract.analysis_config import Locator, PredictorConfig
from contract.errors import ModelError
from contract.wording import several
from file_storage import transport
from model_clients import model
from model_clients.batching import Progress, RequestBatcher, identical_rows, quoted
from model_clients.codec import AnswerError, Codec, make_codec, passed_on
from model_clients.model import Policy, Scores

_log = logging.getLogger(__name__)

INVOCATIONS = "/invocations"
# Fewer may all have whole numbers as a score.
_ROWS_THAT_TELL = 8
# Services that capture their calls leave out those that have it.
_NOT_CAPTURED = {"X-Model-Monitor-No-Capture": "1"}


@dataclass(eq=False)
class EndpointModel:
    """A model that is asked by requests.

    Parameters
    ----------
    channel
        Where requests go.
    codec
        How they look.
    predictor
        For the names of classes.
    policy
        How to ask.
    progress
        Called with the rows answered and the rows in all of a call.
    reopen
        A function and its arguments that make the same model in another process.
    """

    channel: transport.Channel
    codec: Codec
    predictor: PredictorConfig
    policy: Policy
    progress: Progress | None = None
    reopen: tuple[Callable[..., Any], tuple[Any, ...]] = (object, ())
    # Called once it is closed.
    at_close: Callable[[], object] = object
    # Of the features in the model's order, where it is known to have any.
    names: Sequence[str] = ()

    def __post_init__(self) -> None:
        self.where = self.channel.where
        policy = replace(self.policy, most_rows=1) if self.codec.is_single else self.policy
        self._asker = RequestBatcher(self.channel, self.codec.render, policy, self.progress)

    def __reduce__(self) -> tuple[object, ...]:
        return self.reopen

    def predict(self, table: pa.RecordBatch) -> Scores:
        """Return the scores; rows that are the same are sent once. See `Model.predict`."""
        if table.num_rows == 0:
            return np.empty((0, 1))
        answers, kinds = self._ask(table, self.codec.scores)
        widths = {scores.shape[1] for scores in answers}
        if len(widths) > 1:
            listed = " or ".join(map(str, sorted(widths)))
            raise ModelError.of("model_answer.widths", model=self.where, widths=listed)
        scores = np.concatenate(answers)
        told = (self.predictor.label, self.predictor.probability)
        # Outputs that have names may be any numbers.
        may_be_pair = not self.predictor.label_headers or bool(((scores >= 0) & (scores <= 1)).all())
        if len(scores) >= _ROWS_THAT_TELL and told == (None, None) and may_be_pair:
            model.require_no_label(scores, self.where)
        return model.require_finite(scores if kinds is None else scores[kinds], self.where)

    def predict_labels(self, table: pa.RecordBatch) -> pa.Array:
        """Return the labels; see `Model.predict_labels`."""
        if self.codec.labels is None or table.num_rows == 0:
            return model.largest_labels(self.predict(table), self.predictor.label_headers, self.where)
        answers, kinds = self._ask(table, self.codec.labels)
        values = [label for labels in answers for label in labels]
        try:
            labels = pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            labels = pa.array([str(value) for value in values])  # of several kinds
        return labels if kinds is None else labels.take(pa.array(kinds))

    def requests(self, table: pa.RecordBatch, rows: int) -> int:
        """Return about how many requests so many rows take that are such as these."""
        return -(-rows // self._asker.usual_rows(model.plain(table)))

    def close(self) -> None:
        """Close the connections and stop the threads."""
        self._asker.close()
        self.at_close()

    def _ask(self, table: pa.RecordBatch, read: Callable[[bytes, int], Any]) -> tuple[list[Any], Any]:
        # Where names are others than the columns', the model's own code has yet to make its features.
        if sorted(self.names) == sorted(table.schema.names):
            table = table.select(list(self.names))
        table = model.plain(table)
        first, kinds = identical_rows(table) or (None, None)
        return self._asker.ask(table if first is None else table.take(pa.array(first)), read), kinds


def open_http(
    url: str, predictor: PredictorConfig, policy: Policy, progress: Progress | None = None
) -> EndpointModel:
    """Return the model behind a URL, once its health check does not say otherwise.

    Parameters
    ----------
    url
        Where requests are posted.
    predictor
        How they look.
    policy
        How to ask.
    progress
        See `EndpointModel`.

    Raises
    ------
    ModelError
        When nothing can be reached there, or ``GET /ping`` answers that the model cannot be used.
    ConfigurationError
        When the predictor's templates or locations are at fault.
    """
    codec = make_codec(predictor)
    headers = {"Content-Type": codec.content_type, "Accept": codec.accept_type, **_NOT_CAPTURED}
    headers |= {f"X-Amzn-SageMaker-{name}": text for name, text in passed_on(predictor).items()}
    channel = transport.HttpChannel(url, headers, policy.timeout)
    path = urlsplit(url).path
    if path.endswith(INVOCATIONS):
        check_health(channel, path.removesuffix(INVOCATIONS) + "/ping", policy)
    return EndpointModel(channel, codec, predictor, policy, progress, (open_http, (url, predictor, policy)))


def check_health(channel: transport.HttpChannel, path: str, policy: Policy) -> None:
    """Ask a server for its health, again and again while it starts; servers without such a path pass.

    Raises
    ------
    ModelError
        When it does not get ready.
    """
    until = time.monotonic() + policy.patience
    for attempt in range(1, policy.attempts + 1):
        try:
            reply = channel.get(path)
        except transport.ChannelError as error:
            problem = str(error)
        else:
            if reply.status == HTTPStatus.NOT_IMPLEMENTED or (reply.status < 500 and reply.status != 429):
                return
            problem = f"GET {path} answers status {reply.status} ({quoted(reply.body)})"
        pause = policy.pause(attempt)
        if attempt == policy.attempts or time.monotonic() + pause > until:
            break
        _log.info("%s is not ready: %s; asking again in %.1f s", channel.url, problem, pause)
        time.sleep(pause)
    channel.close()
    raise ModelError.of("model_endpoint.not_ready", model=channel.url, attempts=attempt, problem=problem)


# Models behind the Open Inference Protocol, version 2 (KServe, Triton, MLServer), over HTTP and JSON.
#
# The model's own description (``GET /v2/models/NAME``) says whether it takes one tensor of shape
# (rows, features) or one tensor per feature, and of what types.


_JSON = "application/json"
_INFER = "/infer"


class Tensor(NamedTuple):
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
    headers = {"Content-Type": _JSON, "Accept": _JSON, **_NOT_CAPTURED}
    channel = transport.HttpChannel(model_url + _INFER, headers, policy.timeout)
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
        return _scores(_output(body, predictor.probability, "predictor.probability"), rows)

    def labels(body: bytes, rows: int) -> list[Any]:
        values = _output(body, predictor.label, "predictor.label").get("data")
        if not isinstance(values, list) or len(values) != rows:
            raise AnswerError(f"does not hold one label for each of {rows} records")
        return values

    codec = Codec(_JSON, _JSON, render, scores, None if predictor.label is None else labels)
    reopen = (open_inference, (url, predictor, policy))
    return EndpointModel(channel, codec, predictor, policy, progress, reopen)


def _described_inputs(channel: transport.HttpChannel, path: str, where: str) -> tuple[Tensor, ...]:
    """Return the model's inputs; none when the server does not describe it."""
    with ModelError.instead_of("inference_protocol.no_description", transport.ChannelError, model=where):
        reply = channel.get(path)
    told = {"model": where, "answer": quoted(reply.body)}
    if reply.status != 200:
        if reply.status in (400, 404):
            raise ModelError.of("inference_protocol.no_model", **told, status=reply.status)
        return ()
    wrong = (AttributeError, KeyError, TypeError, ValueError)
    with ModelError.instead_of("inference_protocol.other_description", *wrong, **told):
        return tuple(
            Tensor(str(one["name"]), str(one["datatype"]), tuple(int(size) for size in one["shape"]))
            for one in orjson.loads(reply.body).get("inputs") or []
        )


def _tensors(table: pa.RecordBatch, inputs: Sequence[Tensor], where: str) -> list[dict[str, Any]]:
    if not inputs:
        inputs = (Tensor("input-0", "FP64", (-1, table.num_columns)),)
    rows = table.num_rows
    if len(inputs) == 1 and (len(inputs[0].shape) != 2 or inputs[0].shape[1] != 1):
        shape = inputs[0].shape
        width = shape[-1] if len(shape) == 2 and shape[-1] > 0 else None
        parts = [(inputs[0], model.select(table, None, width, where), [rows, table.num_columns])]
    else:
        table = model.select(table, [tensor.name for tensor in inputs], None, where)
        pairs = zip(inputs, table.schema.names, strict=True)
        parts = [(one, table.select([name]), [rows, 1][: len(one.shape)]) for one, name in pairs]
    tensors = []
    for tensor, columns, size in parts:
        about = {"name": tensor.name, "shape": size, "datatype": tensor.datatype}
        tensors.append({**about, "data": _data(tensor, columns, where)})
    return tensors


def _data(tensor: Tensor, table: pa.RecordBatch, where: str) -> Any:
    """Return the values row by row, in one flat list."""
    kinds: dict[str, type[Any]] = {"BYTES": np.str_, "BOOL": np.bool_, "FP": np.float64}
    kind = kinds.get("FP" if tensor.datatype.startswith("FP") else tensor.datatype, np.int64)
    values = model.tensor_values(table, kind, where).ravel()
    return values.tolist() if kind is np.str_ else values


def _output(body: bytes, locator: Locator | None, field: str) -> dict[str, Any]:
    try:
        outputs: list[dict[str, Any]] = orjson.loads(body)["outputs"]
        names = [str(output["name"]) for output in outputs]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise AnswerError("is not an answer of the Open Inference Protocol") from error
    place: Locator | None = names.index(str(locator)) if str(locator) in names else locator
    if locator is None:
        if not outputs:
            raise AnswerError("holds no outputs")
        floats = [at for at, one in enumerate(outputs) if str(one.get("datatype")).startswith("FP")]
        place = floats[-1] if floats else len(outputs) - 1
    if isinstance(place, int) and 0 <= place < len(outputs):
        return outputs[place]
    raise AnswerError(f"has the outputs {', '.join(names)}, but {field} is {locator!r}")


def _scores(output: dict[str, Any], rows: int) -> Scores:
    try:
        values = np.array(output["data"], dtype=np.float64).ravel()
        shape = [int(size) for size in output["shape"]]
    except (KeyError, TypeError, ValueError) as error:
        raise AnswerError(f"holds no numbers in output {output.get('name')!r}") from error
    if int(np.prod(shape)) != len(values):
        raise AnswerError(f"holds {several(len(values), 'value')} in place of the shape {shape}")
    if not shape or shape[0] != rows:
        found = several(shape[0] if shape else 1, "prediction")
        raise AnswerError(f"holds {found} for {several(rows, 'record')}")
    return values.reshape(rows, -1)


# A SageMaker endpoint, asked through boto3, which signs requests and finds the server.
#
# ``AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME``, ``AWS_ENDPOINT_URL`` and credentials are boto3's to find; so is the
# region, where ``AWS_REGION`` does not tell.


class SageMakerChannel:
    """Requests to one SageMaker endpoint.

    Parameters
    ----------
    name
        Of the endpoint.
    options
        Further arguments of ``invoke_endpoint``.
    policy
        For the time limit and the number of connections.
    """

    def __init__(self, name: str, options: dict[str, str], policy: Policy) -> None:
        self.where = f"SageMaker endpoint {name}"
        self._options = {"EndpointName": name, **options}
        self._timeout = policy.timeout
        model.require("boto3", "boto3", self.where)
        from botocore.exceptions import BotoCoreError

        limits: dict[str, Any] = {"connect_timeout": policy.timeout, "read_timeout": policy.timeout}
        limits |= {"max_pool_connections": policy.concurrency, "retries": {"total_max_attempts": 1}}
        with ModelError.instead_of("model_endpoint.no_client", BotoCoreError, model=self.where):
            self._client = transport.aws_client("sagemaker-runtime", policy.timeout, **limits)

    def send(self, body: bytes) -> transport.Reply:
        """Send one request, see `Channel.send`."""
        from botocore import exceptions

        with ModelError.instead_of("model_endpoint.no_client", exceptions.BotoCoreError, model=self.where):
            try:
                answer = self._client.invoke_endpoint(Body=body, **self._options)
                return transport.Reply(200, answer["Body"].read())
            except exceptions.ClientError as error:
                return _refusal(error)
            except exceptions.HTTPClientError as error:
                raise transport.unanswered(error, self._timeout) from error

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def open_sagemaker(
    predictor: PredictorConfig, policy: Policy, progress: Progress | None = None
) -> EndpointModel:
    """Return the model behind ``predictor.endpoint_name``, of several behind one endpoint its `target_model`.

    Raises
    ------
    ModelError
        When boto3 is missing, or finds no region or credentials.
    ConfigurationError
        When the predictor's templates or locations are at fault.
    """
    codec = make_codec(predictor)
    options = {"ContentType": codec.content_type, "Accept": codec.accept_type}
    options |= {name.replace("-", ""): text for name, text in passed_on(predictor).items()}
    channel = SageMakerChannel(str(predictor.endpoint_name), options, policy)
    return EndpointModel(channel, codec, predictor, policy, progress, (open_sagemaker, (predictor, policy)))


def _refusal(error: Any) -> transport.Reply:
    """Return what the service, or the model behind it, answered."""
    code, said, status = transport.refused(error)
    if code == "ModelError":
        status = int(error.response.get("OriginalStatusCode") or 500)
    elif code == "ValidationError" and "not found" in said.lower():
        status = 404
    text = str(error.response.get("OriginalMessage") or said or code)
    after = str(error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("retry-after", ""))
    return transport.Reply(status, text.encode(), float(after) if after.isdigit() else None)
