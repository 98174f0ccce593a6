"""What is said of how a dataset is read."""

from __future__ import annotations

import pyarrow as pa
from sentences import says

from analyzers.data_quality.analyzer import DataQualityAnalyzer
from contract.dataset import Said, Tally, notice
from job_runner import engine


class Noticing:
    label = "noticing"

    def batches(self):
        notice("reading.marker", 2, field="x", marker="NA")
        yield pa.RecordBatch.from_pydict({"x": [1.0, None, None]})


def test_what_splits_notice_reaches_the_leader_whichever_thread_read_them() -> None:
    for workers in (1, 3):
        tally = Tally()
        engine.summarize_splits(DataQualityAnalyzer(), (Noticing(),) * 5, workers, tally)
        assert tally == {("reading.marker", ("field", "x"), ("marker", "NA")): 10}
        reading = Said()
        reading.add(tally, 15)
        assert reading.sentences == {"missing": ["10 of 15 cells of x hold 'NA' and count as missing"]}


def test_a_sentence_is_said_once() -> None:
    reading = Said()
    reading.say("reading.dates", field="x")
    reading.say("reading.dates", field="x")
    (line,) = reading.lines()
    assert says(line, "reading.dates", field="x")
    notice("reading.dates", field="x")  # nobody collects
