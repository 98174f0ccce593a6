"""Models behind an endpoint that keeps SageMaker's inference contract, or the Open Inference Protocol.

SageMaker's contract is ``POST /invocations`` with CSV, JSON Lines or JSON, and ``GET /ping`` for health.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa

from contract.analysis_config.members import PredictorConfig
from contract.errors import ConfigurationError, ModelError
from contract.models.answers import Reader, answer_reader
from contract.models.asking import Asker, Progress, quoted
from contract.models.channel import USER_AGENT, Channel, ChannelError, HttpChannel
from contract.models.columns import plain
from contract.models.identical_rows import identical_rows
from contract.models.policy import Policy
from contract.models.protocol import Scores, largest_labels, require_finite
from contract.models.rendering import Render, json_renderer, render_csv
from contract.models.templates import json_shape

_log = logging.getLogger(__name__)

CONTENT_TYPES = ("text/csv", "application/jsonlines", "application/json")
INVOCATIONS = "/invocations"


@dataclass(frozen=True)
class Codec:
    """How rows become requests and answers become scores.

    Parameters
    ----------
    content_type, accept_type
        MIME types.
    is_single
        Whether a request holds one record.
    """

    content_type: str
    accept_type: str
    render: Render
    reader: Reader
    is_single: bool = False


def make_codec(predictor: PredictorConfig) -> Codec:
    """Return how a predictor is talked to; CSV both ways unless it says otherwise.

    Raises
    ------
    ConfigurationError
        When templates or locations do not suit the content types.
    """
    content_type = predictor.content_type or "text/csv"
    accept_type = predictor.accept_type or content_type
    for member, value in (("content_type", content_type), ("accept_type", accept_type)):
        if value not in CONTENT_TYPES:
            raise ConfigurationError(
                f"predictor.{member} {value!r} is not supported; choose from {', '.join(CONTENT_TYPES)}."
            )
    reader = answer_reader(predictor, accept_type)
    if content_type == "text/csv":
        return Codec(content_type, accept_type, render_csv, reader)
    shape = json_shape(predictor, is_lines=content_type == "application/jsonlines")
    return Codec(content_type, accept_type, json_renderer(shape), reader, shape.is_single)


class EndpointModel:
    """A model that is asked by requests.

    Parameters
    ----------
    reopen
        A function and its arguments that make the same model in another process.
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
    """

    def __init__(
        self,
        reopen: tuple[Callable[..., Any], tuple[Any, ...]],
        channel: Channel,
        codec: Codec,
        predictor: PredictorConfig,
        policy: Policy,
        progress: Progress | None = None,
    ) -> None:
        self._reopen = reopen
        self._codec = codec
        self._predictor = predictor
        self.where = channel.where
        if codec.is_single:
            policy = replace(policy, most_rows=1)
        self._asker = Asker(channel, codec.render, policy, progress)

    def __reduce__(self) -> tuple[object, ...]:
        return self._reopen

    def predict(self, table: pa.RecordBatch) -> Scores:
        """Return the scores; rows that are the same are sent once. See `Model.predict`."""
        if table.num_rows == 0:
            return np.empty((0, 1))
        answers, kinds = self._ask(table, self._codec.reader.scores)
        widths = {scores.shape[1] for scores in answers}
        if len(widths) > 1:
            raise ModelError(
                f"{self.where} answers {' or '.join(str(width) for width in sorted(widths))} scores per "
                "row, now so, now so; a model must give the same number for every row."
            )
        scores = np.concatenate(answers)
        return require_finite(scores if kinds is None else scores[kinds], self.where)

    def predict_labels(self, table: pa.RecordBatch) -> pa.Array:
        """Return the labels; see `Model.predict_labels`."""
        if self._codec.reader.labels is None or table.num_rows == 0:
            return largest_labels(self.predict(table), self._predictor.label_headers, self.where)
        answers, kinds = self._ask(table, self._codec.reader.labels)
        values = [label for labels in answers for label in labels]
        labels = _label_array(values)
        return labels if kinds is None else labels.take(pa.array(kinds))

    def close(self) -> None:
        """Close the connections and stop the threads."""
        self._asker.close()

    def _ask(self, table: pa.RecordBatch, read: Callable[[bytes, int], Any]) -> tuple[list[Any], Any]:
        table = plain(table)
        same = identical_rows(table)
        if same is None:
            return self._asker.ask(table, read), None
        first, kinds = same
        return self._asker.ask(table.take(pa.array(first)), read), kinds


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
    headers = {"Content-Type": codec.content_type, "Accept": codec.accept_type, "User-Agent": USER_AGENT}
    if predictor.custom_attributes is not None:
        headers["X-Amzn-SageMaker-Custom-Attributes"] = predictor.custom_attributes
    if predictor.target_model is not None:
        headers["X-Amzn-SageMaker-Target-Model"] = predictor.target_model
    channel = HttpChannel(url, headers, policy.timeout)
    path = urlsplit(url).path
    if path.endswith(INVOCATIONS):
        check_health(channel, path.removesuffix(INVOCATIONS) + "/ping", policy)
    return EndpointModel((open_http, (url, predictor, policy)), channel, codec, predictor, policy, progress)


def check_health(channel: HttpChannel, path: str, policy: Policy) -> None:
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
        except ChannelError as error:
            problem = str(error)
        else:
            if reply.status < 500 and reply.status != 429:
                return
            problem = f"GET {path} answers status {reply.status} ({quoted(reply.body)})"
        pause = policy.pause(attempt)
        if attempt == policy.attempts or time.monotonic() + pause > until:
            break
        _log.info("%s is not ready: %s; asking again in %.1f s", channel.url, problem, pause)
        time.sleep(pause)
    channel.close()
    raise ModelError(
        f"model {channel.url} is not ready after {attempt} attempts: {problem}; check host and port, and "
        "that the endpoint is running."
    )


def _label_array(values: list[Any]) -> pa.Array:
    """Return labels as numbers when all are, as text otherwise."""
    if all(isinstance(value, bool) for value in values):
        return pa.array(values, pa.bool_())
    if all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        return pa.array(values, pa.int64())
    if all(isinstance(value, int | float) for value in values):
        return pa.array([float(value) for value in values], pa.float64())
    return pa.array([value if isinstance(value, str) else str(value) for value in values], pa.string())
