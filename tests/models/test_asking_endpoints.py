"""Asking an endpoint: division into requests, order, and everything that can go wrong on the way."""

from __future__ import annotations

import math
import pickle
import re
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from model_server import QUICK, Answer, Behaviour, Request, Server, csv_sums, healthy, json_answer, serving
from refusals import refused

from contract.analysis_config import PredictorConfig
from contract.errors import ConfigurationError, ModelError
from model_clients.model import Model, Policy, largest_labels
from model_clients.opening import open_model

Ask = Callable[..., tuple[Model, Server]]


@pytest.fixture
def ask() -> Iterator[Ask]:
    """Open models behind servers that behave as told; all are closed afterwards."""
    opened: list[tuple[Model, AbstractContextManager[Server]]] = []

    def open_one(
        post: Behaviour,
        predictor: PredictorConfig | None = None,
        policy: Policy = QUICK,
        get: Behaviour = healthy,
        **options: object,
    ) -> tuple[Model, Server]:
        context = serving(post, get)
        server = context.__enter__()
        try:
            model = open_model(server.url, predictor, policy=policy, **options)
        except BaseException:
            context.__exit__(None, None, None)
            raise
        opened.append((model, context))
        return model, server

    yield open_one
    for model, context in opened:
        model.close()
        context.__exit__(None, None, None)


def numbers(rows: int) -> pa.RecordBatch:
    values = np.random.default_rng(7).normal(size=(3, rows))
    return pa.RecordBatch.from_arrays([pa.array(column) for column in values], names=list("abc"))


def sums(table: pa.RecordBatch) -> np.ndarray:
    columns = [np.nan_to_num(column.to_numpy(zero_copy_only=False)) for column in table.columns]
    return np.array([math.fsum(row) for row in zip(*columns, strict=True)])


def test_rows_are_divided_and_answered_in_order(ask: Ask) -> None:
    seen = []
    policy = replace(QUICK, usual_bytes=4_000)
    model, server = ask(csv_sums, policy=policy, progress=lambda done, rows: seen.append((done, rows)))
    table = numbers(2_000)
    scores = model.predict(table)
    assert scores.shape == (2_000, 1)
    assert np.array_equal(scores[:, 0], sums(table))
    assert len(server.requests) > 10
    assert max(len(request.body) for request in server.requests) < 5_000
    assert seen[-1] == (2_000, 2_000)
    assert seen == sorted(seen)


def test_identical_rows_are_sent_once(ask: Ask) -> None:
    model, server = ask(csv_sums)
    few = numbers(50)
    order = np.random.default_rng(1).integers(0, 50, 5_000)
    assert np.array_equal(model.predict(few.take(pa.array(order)))[:, 0], sums(few)[order])
    again = 4  # compared with their first answers
    assert sum(len(request.rows()) for request in server.requests) == 50 + again


@pytest.mark.parametrize("labels", [False, True])
@pytest.mark.parametrize("order", ["reversed", "sorted", "ranked"])
def test_answers_that_depend_on_the_rows_beside_are_refused(ask: Ask, order: str, labels: bool) -> None:
    def post(request: Request) -> Answer:
        values = [sum(map(float, row)) for row in request.rows()]
        ranks = [sorted(values).index(value) / len(values) for value in values]
        values = {"reversed": values[::-1], "sorted": sorted(values), "ranked": ranks}[order]
        return Answer("\n".join(str(value > 0.5) if labels else str(value) for value in values))

    model, _ = ask(post, PredictorConfig(label=0) if labels else None)
    with refused(ModelError, "model_answer.by_place"):
        (model.predict_labels if labels else model.predict)(numbers(60))


def test_a_model_that_answers_by_chance_is_asked_all_the_same(ask: Ask) -> None:
    chance = np.random.default_rng(3)
    model, _ = ask(lambda request: Answer("\n".join(map(str, chance.normal(size=len(request.rows()))))))
    assert model.predict(numbers(60)).shape == (60, 1)


def test_headers_carry_what_the_predictor_says(ask: Ask) -> None:
    predictor = PredictorConfig(
        content_type="text/csv",
        accept_type="application/json",
        custom_attributes="trace=1",
        target_model="m.tar.gz",
    )
    model, server = ask(lambda request: json_answer([1.5] * len(request.rows())), predictor)
    assert model.predict(numbers(2)).tolist() == [[1.5], [1.5]]
    headers = server.requests[0].headers
    assert headers["Content-Type"] == "text/csv"
    assert headers["Accept"] == "application/json"
    assert headers["X-Amzn-SageMaker-Custom-Attributes"] == "trace=1"
    assert headers["X-Amzn-SageMaker-Target-Model"] == "m.tar.gz"
    assert headers["User-Agent"] == "model-monitor"
    assert headers["X-Model-Monitor-No-Capture"] == "1"


def test_a_pickled_model_asks_anew(ask: Ask) -> None:
    model, _ = ask(csv_sums)
    table = numbers(20)
    copy = pickle.loads(pickle.dumps(model))
    try:
        assert np.array_equal(copy.predict(table), model.predict(table))
    finally:
        copy.close()


def test_several_threads_may_ask_at_once(ask: Ask) -> None:
    model, _ = ask(csv_sums)
    tables = [numbers(500 + number) for number in range(4)]
    results: dict[int, np.ndarray] = {}

    def predict(number: int) -> None:
        results[number] = model.predict(tables[number])[:, 0]

    threads = [threading.Thread(target=predict, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(results[number], sums(tables[number])) for number in range(4))


def test_no_rows_ask_nothing(ask: Ask) -> None:
    model, server = ask(csv_sums)
    assert model.predict(numbers(0)).shape == (0, 1)
    assert server.requests == []


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_passing_failures_are_repeated(ask: Ask, status: int) -> None:
    tries: Counter[bytes] = Counter()

    def post(request: Request) -> Answer:
        tries[request.body] += 1
        return Answer("later", status) if tries[request.body] == 1 else csv_sums(request)

    model, _ = ask(post)
    table = numbers(700)
    assert np.array_equal(model.predict(table)[:, 0], sums(table))


def test_retry_after_is_honoured(ask: Ask) -> None:
    def post(request: Request) -> Answer:
        return csv_sums(request) if request.number else Answer("wait", 429, {"Retry-After": "0"})

    # With pauses of its own it would not return within its patience.
    model, server = ask(post, policy=replace(QUICK, first_pause=1e6, longest_pause=1e6))
    assert model.predict(numbers(1)).shape == (1, 1)
    assert len(server.requests) == 2


@pytest.mark.parametrize("after", ["86400", "Wed, 21 Oct 2099 07:28:00 GMT"])
def test_a_wait_beyond_all_patience_is_not_begun(ask: Ask, after: str) -> None:
    model, server = ask(lambda request: Answer("quota", 429, {"Retry-After": after}))
    with pytest.raises(ModelError, match=r"answered status 429 .* 'quota'; it is overloaded"):
        model.predict(numbers(2))
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [429, 503])
def test_lasting_overload_is_given_up(ask: Ask, status: int) -> None:
    model, server = ask(lambda request: Answer("busy", status))
    with pytest.raises(
        ModelError, match=rf"status {status} for rows 0 to 1 of .* after 3 attempts .* 'busy'"
    ):
        model.predict(numbers(2))
    assert len(server.requests) == QUICK.attempts


@pytest.mark.parametrize(
    ("status", "text"),
    [(413, ""), (400, "Payload size exceeds the limit"), (500, "Request body is too large to parse")],
)
def test_refused_sizes_are_halved(ask: Ask, status: int, text: str) -> None:
    def post(request: Request) -> Answer:
        return Answer(text, status) if len(request.body) > 900 else csv_sums(request)

    model, server = ask(post)
    table = numbers(600)
    assert np.array_equal(model.predict(table)[:, 0], sums(table))
    first = len(server.requests)
    model.predict(table)
    refused = [request for request in server.requests[first:] if len(request.body) > 900]
    assert refused == []  # what was learned holds


def test_a_server_that_hangs_up_on_large_bodies_gets_smaller_ones(ask: Ask) -> None:
    def post(request: Request) -> Answer:
        return Answer(hang_up=True) if len(request.body) > 70_000 else csv_sums(request)

    model, _ = ask(post, policy=replace(QUICK, concurrency=1, attempts=4))
    table = numbers(3_000)
    assert np.array_equal(model.predict(table)[:, 0], sums(table))


def test_models_for_single_records_get_single_records(ask: Ask) -> None:
    def post(request: Request) -> Answer:
        return csv_sums(request) if len(request.rows()) == 1 else Answer("expected 1-D input", 400)

    model, _ = ask(post)
    table = numbers(40)
    assert np.array_equal(model.predict(table)[:, 0], sums(table))


def test_a_record_too_large_by_itself_is_an_error(ask: Ask) -> None:
    model, _ = ask(lambda request: Answer("", 413))
    with pytest.raises(ModelError, match=r"status 413 for row \d+ of .*: with no content; even one record"):
        model.predict(numbers(40))


@pytest.mark.parametrize(
    ("status", "advice"), [(401, "credentials"), (403, "permissions"), (404, "check the path")]
)
def test_refusals_that_last_are_not_repeated(ask: Ask, status: int, advice: str) -> None:
    model, server = ask(lambda request: Answer("no", status))
    with pytest.raises(ModelError, match=rf"status {status} .* 'no'; .*{advice}"):
        model.predict(numbers(2))
    assert len(server.requests) == 1


def test_a_row_the_model_refuses_is_named(ask: Ask) -> None:
    def post(request: Request) -> Answer:
        return Answer("bad value", 400) if any(row[0] == "" for row in request.rows()) else csv_sums(request)

    model, _ = ask(post)
    table = numbers(64)
    column = pa.array([None if row == 41 else float(row) for row in range(64)])
    with pytest.raises(ModelError, match=r"status 400 for row 41 of the batch: 'bad value'; the log of"):
        model.predict(table.set_column(0, "a", column))


def test_the_endpoint_is_down() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}/invocations"
        with pytest.raises(ModelError, match=rf"{address} is not ready after 3 attempts: connection refused"):
            open_model(address, policy=QUICK)


def test_the_endpoint_goes_down_later(ask: Ask) -> None:
    model, server = ask(csv_sums)
    model.predict(numbers(2))
    server.stop()
    with pytest.raises(ModelError, match=r"did not answer for rows 0 to 1 .*; check that the endpoint runs"):
        model.predict(numbers(2))


def test_an_unhealthy_endpoint_is_not_asked(ask: Ask) -> None:
    with pytest.raises(ModelError, match=r"GET /ping answers status 503 \('loading'\)"):
        ask(csv_sums, get=lambda request: Answer("loading", 503))


def test_an_endpoint_that_starts_late_is_waited_for(ask: Ask) -> None:
    health = iter([503, 200])
    model, _ = ask(csv_sums, get=lambda request: Answer("", next(health)))
    assert model.predict(numbers(2)).shape == (2, 1)


@pytest.mark.parametrize("status", [404, 405, 501])
def test_servers_without_a_health_check_pass(ask: Ask, status: int) -> None:
    model, _ = ask(csv_sums, get=lambda request: Answer("", status))
    assert model.predict(numbers(2)).shape == (2, 1)


def test_a_slow_endpoint(ask: Ask) -> None:
    servers: list[Server] = []

    def post(request: Request) -> Answer:
        servers[0].released.wait(5)
        return Answer()

    model, server = ask(post, policy=replace(QUICK, timeout=0.05))
    servers.append(server)
    with pytest.raises(ModelError, match=r"for row \d .* after 3 attempts .*no answer within 0\.05 s"):
        model.predict(numbers(4))
    assert len(server.requests[-1].rows()) == 1  # smaller requests were tried


def test_a_model_too_slow_for_many_rows_gets_fewer(ask: Ask) -> None:
    servers: list[Server] = []

    def post(request: Request) -> Answer:
        if len(request.rows()) > 8:
            servers[0].released.wait(5)
        return csv_sums(request)

    model, server = ask(post, policy=replace(QUICK, timeout=0.2))
    servers.append(server)
    table = numbers(32)
    assert np.array_equal(model.predict(table)[:, 0], sums(table))


@pytest.mark.parametrize("broken", [Answer("0.5", length=1_000), Answer(hang_up=True)])
def test_a_connection_closed_within_an_answer(ask: Ask, broken: Answer) -> None:
    model, _ = ask(lambda request: csv_sums(request) if request.number >= 2 else broken)
    table = numbers(5)
    assert np.array_equal(model.predict(table)[:, 0], sums(table))
    model, _ = ask(lambda request: broken)
    with pytest.raises(ModelError, match=r"closed the connection before its answer was complete; check"):
        model.predict(table)


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("", "is empty; it begins with no content"),
        ("<html>Bad Gateway</html>\n<p>", "holds '<html>Bad Gateway</html>' where a number should be"),
        ("0.5\n0.5\n0.5", "holds 3 predictions for 2 records; it begins '0.5 0.5 0.5'"),
        ("0.5", "holds 1 prediction for 2 records"),
        ("1,2\n3", "is not CSV"),
        (b"\xff\xfe\x00\n\x81", "holds b'"),
    ],
)
def test_garbage_is_quoted(ask: Ask, body: bytes | str, complaint: str) -> None:
    model, server = ask(lambda request: Answer(body))
    expected = (
        rf"{server.url} was asked about rows 0 to 1 of the batch, and its answer .*{re.escape(complaint)}"
    )
    with pytest.raises(ModelError, match=expected) as caught:
        model.predict(numbers(2))
    assert "\n" not in caught.value.message


def test_long_garbage_is_cut(ask: Ask) -> None:
    model, _ = ask(lambda request: Answer("x" * 100_000))
    with pytest.raises(ModelError) as caught:
        model.predict(numbers(2))
    assert len(caught.value.message) < 700


@pytest.mark.parametrize("missing", ["nan", "", "null"])
def test_missing_scores_are_named(ask: Ask, missing: str) -> None:
    def post(request: Request) -> Answer:
        return Answer("\n".join(f"{missing},1" if row[0] == "3.0" else "0.5,0.5" for row in request.rows()))

    model, _ = ask(post)
    table = pa.record_batch({"a": np.arange(6.0)})
    expected = r"answered no score \(null or NaN\) for 1 of 6 rows, first for row 3 of the batch"
    with pytest.raises(ModelError, match=expected):
        model.predict(table)


def test_infinite_scores_are_named(ask: Ask) -> None:
    model, _ = ask(lambda request: Answer("inf\n0.5"))
    with pytest.raises(ModelError, match=r"answered the score inf for 1 of 2 rows"):
        model.predict(numbers(2))


def test_now_two_scores_now_three(ask: Ask) -> None:
    def post(request: Request) -> Answer:
        line = "0.5,0.5" if request.rows()[0][0] == "0.0" else "0.2,0.3,0.5"
        return Answer("\n".join([line] * len(request.rows())))

    model, _ = ask(post, policy=replace(QUICK, most_rows=2))
    with pytest.raises(ModelError, match="answers 2 or 3 scores per row"):
        model.predict(pa.record_batch({"a": np.arange(6.0)}))


def test_what_cannot_be_an_address() -> None:
    for address in ("http://", "http://host:port/invocations", "http://a b/invocations"):
        with pytest.raises(ConfigurationError, match="is not a usable address; write it as"):
            open_model(address)
    with pytest.raises(ConfigurationError, match="cannot be opened; give a file"):
        open_model("ftp://host/model.onnx")


def test_nothing_says_which_model() -> None:
    with pytest.raises(ConfigurationError, match="nothing says which model to ask; give model"):
        open_model(None)
    with pytest.raises(ConfigurationError, match=r"predictor.model_name 'churn' .*; give predictor.inst"):
        open_model(None, PredictorConfig(model_name="churn"))


@pytest.mark.parametrize(
    ("scores", "refused"),
    [
        ([[0, 0.2], [1, 0.7]], True),
        ([[0.7, 1]], True),
        ([[0.8, 0.2], [0.3, 0.7]], False),
        ([[1.0, 1e-9]], False),
        ([[-1.5, 0.25]], False),
    ],
)
def test_a_label_beside_its_score_is_no_pair_of_classes(scores: list[list[float]], refused: bool) -> None:
    answers = np.array(scores, dtype=np.float64)
    if refused:
        with pytest.raises(ModelError, match=r"look like a label \(number [01].*label for the labels"):
            largest_labels(answers, (), "endpoint")
    else:
        assert largest_labels(answers, (), "endpoint").to_pylist() == answers.argmax(axis=1).tolist()
