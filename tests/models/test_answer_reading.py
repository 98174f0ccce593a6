"""Answers as scores and labels, in the shapes that the guide of the originals shows."""

from __future__ import annotations

import json
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contract.analysis_config import PredictorConfig
from contract.errors import ConfigurationError
from model_clients.codec import AnswerError, answer_readers

CSV, LINES, JSON = "text/csv", "application/jsonlines", "application/json"


def scores(body: str | bytes, rows: int, kind: str, **members: object) -> list[list[float]]:
    content = body.encode() if isinstance(body, str) else body
    return answer_readers(PredictorConfig(**members), kind)[0](content, rows).tolist()


def labels(body: str, rows: int, kind: str, **members: object) -> list[object]:
    read = answer_readers(PredictorConfig(**members), kind)[1]
    assert read is not None
    return read(body.encode(), rows)


@pytest.mark.parametrize(
    ("body", "rows", "kind", "members", "expected"),
    [
        ("0.6", 1, CSV, {}, [[0.6]]),
        ("0.6\n", 1, CSV, {"probability": 0}, [[0.6]]),
        ("0.6,0.3", 2, CSV, {"probability": 0}, [[0.6], [0.3]]),
        ("0.6\r\n0.3\r\n", 2, CSV, {"probability": "0"}, [[0.6], [0.3]]),
        ("0.1,0.6,0.3", 1, CSV, {}, [[0.1, 0.6, 0.3]]),
        ("0.1,0.6,0.3\n0.2,0.5,0.3", 2, CSV, {}, [[0.1, 0.6, 0.3], [0.2, 0.5, 0.3]]),
        ("1,0.6\n0,0.3", 2, CSV, {"label": 0, "probability": 1}, [[0.6], [0.3]]),
        ("1\n0", 2, CSV, {"label": 0}, [[1.0], [0.0]]),
        (
            'cat,"[0.1,0.9]"\ndog,"[0.8,0.2]"',
            2,
            CSV,
            {"label": 0, "probability": 1},
            [[0.1, 0.9], [0.8, 0.2]],
        ),
        ('{"score":0.6}\n{"score":0.3}', 2, LINES, {"probability": "score"}, [[0.6], [0.3]]),
        ('{"score":[0.6]}\n', 1, LINES, {"probability": "score"}, [[0.6]]),
        ('{"p":{"s":[0.1,0.9]}}', 1, LINES, {"probability": "p.s"}, [[0.1, 0.9]]),
        ('{"p":[0.1,0.9]}', 1, LINES, {"probability": "p[1]"}, [[0.9]]),
        ("0.6\n0.3", 2, LINES, {}, [[0.6], [0.3]]),
        ("[0.6,0.4]\n[0.3,0.7]", 2, LINES, {}, [[0.6, 0.4], [0.3, 0.7]]),
        (
            '{"predictions":[{"score":0.6},{"score":0.3}]}',
            2,
            JSON,
            {"probability": "predictions[*].score"},
            None,
        ),
        ('{"predictions":[0.6,0.3]}', 2, JSON, {"label": "predictions"}, [[0.6], [0.3]]),
        ("[0.6,0.3]", 2, JSON, {}, [[0.6], [0.3]]),
        ("0.6", 1, JSON, {}, [[0.6]]),
        ('{"score":0.6}', 1, JSON, {"probability": "score"}, [[0.6]]),
        ('{"scores":[0.1,0.9]}', 1, JSON, {"probability": "scores"}, [[0.1, 0.9]]),
        ('[{"score":[[0.6]]},{"score":[[0.3]]}]', 2, JSON, {"probability": "[*].score"}, [[0.6], [0.3]]),
    ],
)
def test_scores(body: str, rows: int, kind: str, members: dict[str, object], expected: object) -> None:
    assert scores(body, rows, kind, **members) == (expected or [[0.6], [0.3]])


@pytest.mark.parametrize(
    ("body", "rows", "kind", "members", "expected"),
    [
        ("1,0.6\n0,0.3", 2, CSV, {"label": 0}, [1, 0]),
        ("yes\nNA", 2, CSV, {"label": 0}, ["yes", "NA"]),
        ('{"l":"cat"}\n{"l":"dog"}', 2, LINES, {"label": "l"}, ["cat", "dog"]),
        ('{"predictions":[{"l":1},{"l":0}]}', 2, JSON, {"label": "predictions[*].l"}, [1, 0]),
        ('{"l":["cat"]}', 1, JSON, {"label": "l"}, ["cat"]),
    ],
)
def test_labels(body: str, rows: int, kind: str, members: dict[str, object], expected: object) -> None:
    assert labels(body, rows, kind, **members) == expected


@pytest.mark.parametrize(
    ("body", "rows", "kind", "members", "complaint"),
    [
        ("0.5,yes", 1, CSV, {"probability": 2}, "has 2 columns, but predictor.probability is 2"),
        ("0.5,yes\n0.4,no", 2, CSV, {}, "holds 'yes' where a number should be"),
        ("2020-01-01\n2020-01-02", 2, CSV, {}, "where a number should be"),
        (
            '{"score":0.5}\n{"skore":0.5}',
            2,
            LINES,
            {"probability": "score"},
            "holds nothing at predictor.prob",
        ),
        ('{"score":0.5}', 1, LINES, {}, r"has the members 'score', and predictor.probability does not say"),
        ('{"a":[0.1]}\n{"a":[0.1,0.2]}', 2, LINES, {"probability": "a"}, "lists of different lengths"),
        ("0.5\n0.5", 1, LINES, {}, "holds 2 predictions for 1 record$"),
        ("not json", 1, JSON, {}, "is not JSON"),
        ("[1", 1, LINES, {}, "is not JSON Lines"),
        ('{"p":[{"s":1},{"s":2}]}', 1, JSON, {"probability": "p[*].s"}, "holds 2 predictions for 1 record$"),
        ('{"p":[]}', 2, JSON, {"probability": "p[*].s"}, "holds 0 predictions for 2 records"),
        ('{"error":"busy"}', 2, JSON, {"probability": "p"}, "holds nothing at .* it has the members 'error'"),
        ("0.5", 2, JSON, {}, "holds a single value for 2 records"),
        ('[{"a":1},{"a":{}}]', 2, JSON, {"probability": "[*].a"}, "holds {} where a number should be"),
        ("[[],[]]", 2, JSON, {}, "neither a number nor a list of numbers"),
    ],
)
def test_what_cannot_be_used(
    body: str, rows: int, kind: str, members: dict[str, object], complaint: str
) -> None:
    with pytest.raises(AnswerError, match=complaint):
        scores(body, rows, kind, **members)


@pytest.mark.parametrize(
    ("kind", "members", "complaint"),
    [
        (
            CSV,
            {"probability": "score"},
            "answers of type text/csv have no names; give the zero-based position",
        ),
        (JSON, {"probability": 0}, "a position, but answers are JSON; give a JMESPath"),
        (LINES, {"label": "a["}, r"^predictor.label .*a\[.* is not JMESPath"),
    ],
)
def test_locations_that_do_not_suit(kind: str, members: dict[str, object], complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        answer_readers(PredictorConfig(**members), kind)


FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(
    st.integers(1, 3).flatmap(
        lambda width: st.lists(st.lists(FINITE, min_size=width, max_size=width), min_size=2)
    )
)
def test_every_float_comes_back(rows: list[list[float]]) -> None:
    expected = np.array(rows).tolist()
    count = len(rows)
    assert scores("\n".join(",".join(map(repr, row)) for row in rows), count, CSV) == expected
    assert scores("\n".join(map(json.dumps, rows)), count, LINES) == expected
    assert scores(json.dumps({"p": rows}), count, JSON, probability="p") == expected


@example(b"[\x00]", 1, CSV)
@example(b"0,\x00", 2, CSV)
@example(b"\xff,0", 2, CSV)
@given(st.binary(max_size=60), st.integers(1, 3), st.sampled_from([CSV, LINES, JSON]))
def test_any_bytes_are_read_or_refused(body: bytes, rows: int, kind: str) -> None:
    read_scores, _ = answer_readers(PredictorConfig(), kind)
    with suppress(AnswerError):
        assert len(read_scores(body, rows)) == rows
