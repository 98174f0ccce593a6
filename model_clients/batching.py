"""Asking an endpoint about many rows: divided into requests, side by side, repeated and resized.

Every request is sent until it is answered, unless what went wrong will not mend itself. A request that is
refused for its size, or that a model cannot answer as a whole, is sent again in halves, down to single
records; what is learned about the size holds for all later requests.
"""

import logging
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contract.errors import ModelError, topic
from file_storage.transport import Channel, ChannelError, readable
from model_clients.codec import AnswerError, Render
from model_clients.model import Policy

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


_log = logging.getLogger(__name__)

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

    channel: Channel
    render: Render
    policy: Policy
    progress: Progress | None = None

    def __post_init__(self) -> None:
        """Begin with what the policy says; what is learned about sizes holds for all later calls."""
        self.most_rows, self.most_bytes = self.policy.most_rows or 1 << 62, self.policy.most_bytes
        self.lock = threading.Lock()
        self._pool = ThreadPoolExecutor(self.policy.concurrency, thread_name_prefix="asking")

    def ask(self, table: pa.RecordBatch, read: Read) -> list[Any]:
        """Return what `read` makes of the answers, one entry per request, in the order of the rows.

        Parameters
        ----------
        table
            The rows, at least one.
        read
            Takes the bytes of an answer and the number of rows asked about; raises AnswerError.

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
                if self.progress:
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
        most = min(share, self.usual_rows(table))
        count = -(-rows // most)
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
            except ChannelError as error:
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
    return repr(readable(body, _QUOTED)) if body.strip() else "with no content"
