"""Models behind an endpoint that keeps SageMaker's inference contract, or the Open Inference Protocol.

SageMaker's contract is ``POST /invocations`` with CSV, JSON Lines or JSON, and ``GET /ping`` for health.
"""

import logging
import re
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from itertools import pairwise
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from contract.analysis_config import Locator, PredictorConfig
from contract.errors import ModelError, topic
from contract.wording import several
from file_storage import transport
from model_clients import model
from model_clients.codec import AnswerError, Codec, Render, make_codec, passed_on
from model_clients.model import Policy, Scores

_log = logging.getLogger(__name__)

# Asking an endpoint about many rows: divided into requests, side by side, repeated and resized.
#
# Every request is sent until it is answered, unless what went wrong will not mend itself. A request that is
# refused for its size, or that a model cannot answer as a whole, is sent again in halves, down to single
# records; what is learned about the size holds for all later requests.


# In 40,000 rows of which a hundredth are twins, so many show about six.
_COMPARED_ROWS = 8_192


def identical_rows(table: pa.RecordBatch) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Return which rows to keep, and for each row the position among those of its equal.

    Rows, as `model_clients.model.plain` returns them, are equal when all values are the same text or have
    the same bits (so 0.0 and -0.0 differ), or both are missing.

    Returns
    -------
    Indices of the first row of each kind, ascending, and the kinds, shape (rows,); None when all rows
    differ, or so few are the same that a sample holds no two.
    """
    if table.num_columns == 0:
        return None
    if table.num_rows > 2 * _COMPARED_ROWS:
        # An endpoint waits while all are compared.
        chosen = np.unique(np.random.default_rng(0).integers(table.num_rows, size=_COMPARED_ROWS))
        if identical_rows(table.take(pa.array(chosen))) is None:
            return None
    kinds = np.zeros(table.num_rows, np.int64)
    for column in table.columns:
        if pa.types.is_floating(column.type):
            column = column.view(pa.int64())
        codes = column.dictionary_encode(null_encoding="encode")
        # Kinds of the columns so far, told apart by this one too, and numbered anew as they first appear.
        mixed = kinds * len(codes.dictionary) + codes.indices.to_numpy()
        encoded = pa.array(mixed).dictionary_encode()
        if len(encoded.dictionary) == table.num_rows:
            return None
        kinds = encoded.indices.to_numpy().astype(np.int64)
    return np.unique(kinds, return_index=True)[1], kinds


Progress = Callable[[int, int], None]
Read = Callable[[bytes, int], Any]

_SIZE_WORDS = re.compile(
    rb"too (large|big|long|many)|payload|body size|request size|batch size|content length"
    rb"|(size|length|number|maximum)\W.{0,40}(limit|exceed|greater)|(exceed|greater).{0,40}(size|length|limit)",
    re.IGNORECASE | re.DOTALL,
)
_BUSY = frozenset({408, 425, 429, 503, "unreachable", "broken", "slow"})
_FAILED = frozenset({500, 502, 504})
_REFUSED = frozenset({400, 415, 422, 424})
_SAMPLED_ROWS = 64
_FEWEST_ROWS = 256
_SUSPICIOUS_BYTES = 65_536
_QUOTED = 200


class _Failure(NamedTuple):
    """What came in place of an answer: a status, or the kind of a `ChannelError`, and what was said."""

    status: int | str
    said: bytes
    retry_after: float | None = None


@dataclass
class RequestBatcher:
    """Divides rows into requests and sends them. It remembers what sizes the endpoint refused.

    Parameters
    ----------
    channel
        Where to send.
    render
        Turns rows into the bytes of a request.
    policy
        How to ask.
    progress
        Called with the rows answered and the rows in all, after each answer.
    """

    channel: transport.Channel
    render: Render
    policy: Policy
    progress: Progress | None = None

    def __post_init__(self) -> None:
        """Begin with what the policy says; what is learned about sizes holds for all later calls."""
        self.most_rows, self.most_bytes = self.policy.most_rows or 1 << 62, self.policy.most_bytes
        self.lock = threading.Lock()
        self._pool = ThreadPoolExecutor(self.policy.concurrency, thread_name_prefix="asking")

    def ask(self, table: pa.RecordBatch, read: Read, *, is_check: bool = False) -> list[Any]:
        """Return what `read` makes of the answers, one entry per request, in the order of the rows.

        Parameters
        ----------
        table
            The rows, at least one.
        read
            Takes the bytes of an answer and the number of rows asked about; raises AnswerError.
        is_check
            Whether the rows were asked about before, and are no progress.

        Raises
        ------
        ModelError
            When a request stays unanswered, or `read` rejects its answer.
        """
        call = _Call(self, table, read)
        pieces = {self._pool.submit(call.run, piece): piece for piece in self._divide(table)}
        answers: list[tuple[int, Any]] = []
        done = 0
        try:
            for future in as_completed(pieces):
                answers += future.result()
                done += len(pieces[future])
                if self.progress and not is_check:
                    self.progress(done, table.num_rows)
        except BaseException:
            call.stopped.set()
            for future in pieces:
                future.cancel()
            raise
        return [value for _, value in sorted(answers, key=lambda answer: answer[0])]

    def close(self) -> None:
        """Stop the threads and close the connections."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self.channel.close()

    def usual_rows(self, table: pa.RecordBatch) -> int:
        """Return how many rows such as these fill a request of the usual size."""
        sampled = min(table.num_rows, _SAMPLED_ROWS, self.most_rows)
        row_bytes = max(1.0, len(self.render(table.slice(0, sampled))) / sampled)
        return max(1, min(int(min(self.policy.usual_bytes, self.most_bytes) / row_bytes), self.most_rows))

    def _divide(self, table: pa.RecordBatch) -> list[range]:
        """Divide rows evenly into requests of the usual size, or as many as can run at once."""
        rows = table.num_rows
        share = max(_FEWEST_ROWS, -(-rows // self.policy.concurrency))
        count = -(-rows // min(share, self.usual_rows(table)))
        bounds = [number * rows // count for number in range(count + 1)]
        return [range(start, stop) for start, stop in pairwise(bounds)]


@dataclass
class _Call:
    """One call of `RequestBatcher.ask`: what its requests share."""

    asker: RequestBatcher
    table: pa.RecordBatch
    read: Read
    stopped: threading.Event = field(default_factory=threading.Event)
    failing_since: float | None = None
    not_before: float = 0.0

    def run(self, piece: range) -> list[tuple[int, Any]]:
        """Return the answers about the rows of a piece with the row each begins at, asked for in order."""
        asker = self.asker
        if len(piece) > asker.most_rows:
            return self._run_halves(piece)
        body = asker.render(self.table.slice(piece.start, len(piece)))
        if len(body) > asker.most_bytes and len(piece) > 1:
            return self._run_halves(piece)
        for attempt in range(1, asker.policy.attempts + 1):
            self._pause(max(0.0, self.not_before - time.monotonic()))
            try:
                reply = asker.channel.send(body)
                if 200 <= reply.status < 300:
                    self.failing_since = None
                    return [(piece.start, self.read(reply.body, len(piece)))]
                failure = _Failure(reply.status, reply.body, reply.retry_after)
            except AnswerError as error:
                told = {"model": asker.channel.where, "piece": _rows(piece), "begin": quoted(reply.body)}
                raise ModelError.of("model_answer.unusable", **told, problem=error) from error
            except transport.ChannelError as error:
                failure = _Failure(error.kind, str(error).encode())
            if self.failing_since is None:
                self.failing_since = time.monotonic()
            if self._divides(failure, piece, len(body), attempt):
                return self._run_halves(piece)
            self._wait_or_raise(failure, piece, attempt)
        raise AssertionError("unreachable: the last attempt raises")  # pragma: no cover

    def _run_halves(self, piece: range) -> list[tuple[int, Any]]:
        middle = len(piece) // 2
        return self.run(piece[:middle]) + self.run(piece[middle:])

    def _divides(self, failure: _Failure, piece: range, size: int, attempt: int) -> bool:
        """Return whether smaller requests are worth a try, and remember the size that failed."""
        status = failure.status
        is_size = status == 413 or (status in _REFUSED | _FAILED and _SIZE_WORDS.search(failure.said))
        divides = len(piece) > 1 and (
            is_size
            or status == "large"
            or status in _REFUSED
            or (status in _FAILED and attempt > 1)
            # A model may need too long, and a server may close the connection on a body it finds too large.
            or (status == "slow" and self._failing_seconds() < self.asker.policy.patience)
            or (status == "broken" and attempt > 1 and size > _SUSPICIOUS_BYTES)
        )
        if divides:
            asker = self.asker
            _log.info("%s takes no request of %d rows; making them smaller", asker.channel.where, len(piece))
            with asker.lock:
                if is_size:  # a little more than a half, so that halves of uneven rows pass too
                    asker.most_bytes = min(asker.most_bytes, max(1, size * 6 // 10))
                else:
                    asker.most_rows = min(asker.most_rows, max(1, -(-len(piece) // 2)))
        return bool(divides)

    def _wait_or_raise(self, failure: _Failure, piece: range, attempt: int) -> None:
        policy, asked = self.asker.policy, failure.retry_after
        pause = policy.pause(attempt) if asked is None else asked
        is_over = attempt == policy.attempts or self._failing_seconds() + pause > policy.patience
        if is_over or failure.status not in _BUSY | _FAILED:
            tries = f" after {attempt} attempts in {self._failing_seconds():.0f} s" if attempt > 1 else ""
            told = {"model": self.asker.channel.where, "piece": _rows(piece), "tries": tries}
            if isinstance(failure.status, str):
                raise ModelError.of("model_endpoint.no_answer", **told, problem=failure.said.decode())
            advice = topic("endpoint_advice")
            meant = advice.get(f"status_{failure.status}", advice["any_status"])
            told |= {"answer": quoted(failure.said), "advice": meant}
            raise ModelError.of("model_endpoint.refused", **told, status=failure.status)
        problem = f"status {failure.status}" if isinstance(failure.status, int) else failure.said.decode()
        _log.info("%s: %s; asking again in %.1f s", self.asker.channel.where, problem, pause)
        if asked is not None:
            # A server that says when it will be ready says so to all requests.
            self.not_before = max(self.not_before, time.monotonic() + pause)
        self._pause(pause)

    def _failing_seconds(self) -> float:
        since = self.failing_since  # another thread may get an answer meanwhile
        return 0.0 if since is None else time.monotonic() - since

    def _pause(self, seconds: float) -> None:
        if self.stopped.wait(seconds) if seconds > 0 else self.stopped.is_set():
            raise ModelError.of("model_endpoint.stopped", model=self.asker.channel.where)


def _rows(piece: range) -> str:
    return f"row {piece.start}" if len(piece) == 1 else f"rows {piece.start} to {piece.stop - 1}"


def quoted(body: bytes) -> str:
    """Return the beginning of an answer in quotes."""
    return repr(transport.readable(body, _QUOTED)) if body.strip() else "with no content"


INVOCATIONS = "/invocations"
# Fewer may all have whole numbers as a score.
_ROWS_THAT_TELL = 8
_ROWS_ASKED_AGAIN = 4
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
    only_labels
        Never known before it is asked.
    """

    channel: transport.Channel
    codec: Codec
    predictor: PredictorConfig
    policy: Policy
    progress: Progress | None = None
    reopen: tuple[Callable[..., Any], tuple[Any, ...]] = (object, ())
    only_labels: bool = False
    # Called once it is closed.
    at_close: Callable[[], object] = object
    # Of the features in the model's order, where it is known to have any.
    names: Sequence[str] = ()

    def __post_init__(self) -> None:
        self.where = self.channel.where
        policy = replace(self.policy, most_rows=1) if self.codec.is_single else self.policy
        self._answers_by_row = self.codec.is_single  # once it is known
        self._asker = RequestBatcher(self.channel, self.codec.render, policy, self.progress)

    def __reduce__(self) -> tuple[object, ...]:
        return self.reopen

    def predict(self, table: pa.RecordBatch) -> Scores:
        """Return the scores; rows that are the same are sent once. See `Model.predict`."""
        if table.num_rows == 0:
            return np.empty((0, 1))
        answers, kinds = self._ask(table, self.codec.scores)
        widths = {str(scores.shape[1]) for scores in answers}
        if len(widths) > 1:
            raise ModelError.of("model_answer.widths", model=self.where, widths=" or ".join(sorted(widths)))
        scores = np.concatenate(answers)
        # Outputs that have names may be any numbers.
        may_be_pair = not self.predictor.label_headers or bool(((scores >= 0) & (scores <= 1)).all())
        told = (self.predictor.label, self.predictor.probability)
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

    def _ask(self, table: pa.RecordBatch, read: Read) -> tuple[list[Any], Any]:
        # Where names are others than the columns', the model's own code has yet to make its features.
        if sorted(self.names) == sorted(table.schema.names):
            table = table.select(list(self.names))
        table = model.plain(table)
        first, kinds = identical_rows(table) or (None, None)
        table = table if first is None else table.take(pa.array(first))
        answers = self._asker.ask(table, read)
        if not self._answers_by_row:
            self._require_by_row(table, answers[0], read)
        return answers, kinds

    def _require_by_row(self, table: pa.RecordBatch, answer: list[Any] | Scores, read: Read) -> None:
        """Raise ModelError where some rows of the first request get other answers without the others."""

        def alike(one: Any, other: Any) -> bool:
            if isinstance(answer, list):
                return bool(one == other)
            bound = 0.01 * np.ptp(answer, axis=0).max()
            return len(one) == len(other) and bool((np.abs(one - other) <= bound).all())

        def ask_again(rows: pa.RecordBatch) -> list[Any]:
            return [value for part in self._asker.ask(rows, read, is_check=True) for value in part]

        keys = list(map(str, answer)) if isinstance(answer, list) else answer.tolist()
        is_finite = isinstance(answer, list) or np.isfinite(answer).all()
        if not is_finite or all(key == keys[0] for key in keys):
            return  # so far nothing tells the rows apart
        self._answers_by_row = True
        # The largest answers: rare labels among them.
        chosen = sorted(range(len(keys)), key=keys.__getitem__)[-min(_ROWS_ASKED_AGAIN, len(keys) // 2) :]
        for row, apart in zip(chosen, ask_again(table.take(pa.array(chosen))), strict=True):
            if not alike(answer[row], apart):
                again = ask_again(table.slice(0, len(keys)))
                if all(alike(one, other) for one, other in zip(answer, again, strict=True)):
                    told = {"among": str(answer[row]), "apart": str(apart), "few": str(len(chosen))}
                    raise ModelError.of("model_answer.by_place", model=self.where, many=len(keys), **told)
                return  # chance plays a part in its answers


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
    kinds: dict[str, type[Any]] = {"BYTES": np.str_, "BOOL": np.bool_, "FP": np.float64}
    for tensor, columns, size in parts:
        kind = kinds.get("FP" if tensor.datatype.startswith("FP") else tensor.datatype, np.int64)
        values = model.tensor_values(columns, kind, where).ravel()  # row by row, in one flat list
        about = {"name": tensor.name, "shape": size, "datatype": tensor.datatype}
        tensors.append({**about, "data": values.tolist() if kind is np.str_ else values})
    return tensors


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
