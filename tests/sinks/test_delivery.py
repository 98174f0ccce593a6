"""Delivery to servers that are down, slow, busy, broken or refuse."""

import threading

import pytest
from sink_server import HANG, RESET, TRICKLE, Answer, Behaviour, always, failing, free_host, serving

from contract.sink_addresses import parse_sinks
from reporting.sinks import delivery
from reporting.sinks.delivery import Delivery, NotDeliveredError, deliver


def parcel(host: str) -> Delivery:
    url = f"http://{host}/events"

    def send(timeout: float) -> None:
        delivery.send("POST", url, b"{}", "application/json", {}, timeout)

    return Delivery(f"events+{url}", "1 event", send)


@pytest.mark.parametrize(
    "bad_day",
    [
        (Answer(500),),
        (Answer(503), Answer(502)),
        (Answer(429, headers={"Retry-After": "0"}),),
        (RESET, RESET),
    ],
)
def test_a_sink_that_recovers_gets_it(bad_day: tuple[Answer, ...]) -> None:
    with serving(failing(*bad_day)) as server:
        assert deliver([parcel(server.host)], 20.0, first_pause=0.01) == ()
    assert len(server.requests) == len(bad_day) + 1


@pytest.mark.parametrize(
    ("behaviour", "says"),
    [
        (always(Answer(500, b"out of\ndisk")), "it answered 500: out of disk (6 attempts"),
        (always(Answer(429)), "it answered 429 (6 attempts"),
        (always(RESET), "closed the connection before its answer was complete (6 attempts"),
    ],
)
def test_attempts_end(behaviour: Behaviour, says: str) -> None:
    with serving(behaviour) as server:
        (undelivered,) = deliver([parcel(server.host)], 20.0, first_pause=0.001)
    assert says in undelivered.reason
    assert undelivered.content == "1 event"
    assert len(server.requests) == 6


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (Answer(400, b"bad label"), "it answered 400: bad label"),
        (Answer(401), "it answered 401"),
        (Answer(302, headers={"Location": "http://elsewhere/"}), "a redirect, which is not followed"),
    ],
)
def test_a_refusal_is_not_tried_again(answer: Answer, says: str) -> None:
    with serving(always(answer)) as server:
        (undelivered,) = deliver([parcel(server.host)], 20.0)
    assert undelivered.reason == says or says in undelivered.reason
    assert len(server.requests) == 1


def test_a_sink_that_is_down() -> None:
    (undelivered,) = deliver([parcel(free_host())], 20.0, first_pause=0.001)
    assert "connection refused" in undelivered.reason


def test_a_name_nobody_knows() -> None:
    (undelivered,) = deliver([parcel("host.invalid")], 5.0, first_pause=0.001)
    assert undelivered.reason


def test_a_long_pause_that_a_sink_asks_for_ends_the_matter() -> None:
    with serving(always(Answer(429, headers={"Retry-After": "3600"}))) as server:
        (undelivered,) = deliver([parcel(server.host)], 5.0)
    assert undelivered.reason == "it answered 429"
    assert len(server.requests) == 1


def test_a_sink_that_never_answers_is_asked_again_and_given_up() -> None:
    with serving(always(HANG)) as server:
        (undelivered,) = deliver([parcel(server.host)], 0.6, first_pause=0.01)
    assert "no answer within" in undelivered.reason
    assert len(server.requests) >= 2


def test_a_sink_that_trickles_is_given_up() -> None:
    with serving(always(TRICKLE)) as server:
        (undelivered,) = deliver([parcel(server.host)], 0.5)
        assert undelivered.reason.startswith("no answer within 0.")


def test_slow_sinks_hold_up_no_other() -> None:
    arrived = threading.Event()

    def slow(timeout: float) -> None:
        # Ends only when the other parcel, later in the list, has been sent meanwhile.
        if not arrived.wait(20.0):
            raise NotDeliveredError("the other one never came", again=False)

    parcels = [Delivery("slow", "x", slow), Delivery("quick", "y", lambda timeout: arrived.set())]
    assert deliver(parcels, 20.0) == ()


def test_an_attempt_that_fails_oddly_is_only_not_delivered() -> None:
    def odd(timeout: float) -> None:
        raise KeyError("secret")

    (undelivered,) = deliver([Delivery("a", "x", odd)], 5.0)
    assert undelivered.reason == "KeyError while sending"


def test_credentials_of_an_address_become_a_header() -> None:
    with serving(always(Answer())) as server:
        (address,) = parse_sinks("event_sinks", f"events+http://me:pw@{server.host}/x?k=v#f")
        given = {server.host: {"X-Team": "ml"}, "other": {"X-Not": "1"}}
        delivery.send("POST", address.target, b"{}", "text/plain", given, 5.0)
        own = {server.host: {"Authorization": "Bearer t"}}
        delivery.send("POST", address.target, b"{}", "text/plain", own, 5.0)
    first, second = server.requests
    told = {"Content-Type": "text/plain", "Authorization": "Basic bWU6cHc=", "X-Team": "ml"}
    assert told.items() <= first.headers.items()
    assert (first.path, first.headers["Host"]) == ("/x?k=v", server.host)
    assert "X-Not" not in first.headers
    assert second.headers["Authorization"] == "Bearer t"
