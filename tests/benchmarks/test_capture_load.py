"""The load of `benchmarks.capture`: every answer is counted, in both loops."""

import os
import threading
from http.server import ThreadingHTTPServer

import pytest

from benchmarks import capture
from benchmarks.endpoint import Handler


@pytest.fixture(scope="module")
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield capture.Server(serving.server_address[1], os.getpid())
        serving.shutdown()
        thread.join()


@pytest.mark.parametrize("rate", [None, 100])
def test_every_answer_has_a_latency(server, rate):
    found = capture.load([server, server], [capture.request(b"1,2\n", {})], 0.3, 4, rate)
    assert 0 < len(found.latencies) <= (30 if rate else 1_000_000)
    assert found.percentile(0.0) <= found.percentile(0.5) <= found.percentile(1.0) == max(found.latencies)


def test_what_is_no_success_ends_the_run(server):
    broken = capture.request(b"", {}).replace(b"POST", b"PUT")
    with pytest.raises(ConnectionError, match="501"):
        capture.load([server], [broken], 0.3, 1, None)


def test_the_events_of_a_call_come_together_and_are_joined(tmp_path):
    from model_monitor_capture.receiver import Receiver

    receiver = Receiver(str(tmp_path))
    for one in capture.events()[:10]:
        head, _, body = one.partition(b"\r\n\r\n")
        lines = [line.split(": ", 1) for line in head.decode().splitlines()[1:]]
        receiver.take({name.lower(): value for name, value in lines}, body)
    assert not receiver._halves
    receiver.close()
