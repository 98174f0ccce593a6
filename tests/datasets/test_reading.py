"""What is said of how a dataset is read."""

from __future__ import annotations

import pyarrow as pa

from analyzers.data_quality.analyzer import DataQualityAnalyzer
from contract.reading import Said, Tally, notice
from job_runner import engine


class Noticing:
    label = "noticing"

    def batches(self):
        notice("marker", "x", "NA", count=2)
        yield pa.RecordBatch.from_pydict({"x": [1.0, None, None]})


def test_what_splits_notice_reaches_the_leader_whichever_thread_read_them() -> None:
    for workers in (1, 3):
        tally = Tally()
        engine.summarize_splits(DataQualityAnalyzer(), (Noticing(),) * 5, workers, tally)
        assert tally == {("marker", "x", "NA"): 10}
        reading = Said()
        reading.add(tally, 15)
        assert reading.sentences == {"missing": ["10 of 15 cells of x hold 'NA' and count as missing"]}


def test_a_sentence_is_said_once() -> None:
    reading = Said()
    reading.say("header", "there is one")
    reading.say("header", "there is one")
    assert list(reading.lines()) == ["header: there is one"]
    notice("marker", "x", "NA")  # nobody collects
