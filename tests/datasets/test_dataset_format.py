import contextlib
import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.dataset_format import DatasetFormat, parse_dataset_format
from contract.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '{"csv":{"header":true,"output_columns_position":"START"}}',
            DatasetFormat("csv", True, answers="START"),
        ),
        ('{"csv":{"header":false}}', DatasetFormat("csv", header=False)),
        ('{"Csv":{"Header":"false"}}', DatasetFormat("csv", header=False)),
        ('{"csv":{}}', DatasetFormat("csv")),
        ("csv", DatasetFormat("csv")),
        ('"parquet"', DatasetFormat("parquet")),
        ('{"parquet":null}', DatasetFormat("parquet")),
        ('{"json":{"lines":true}}', DatasetFormat("json")),
        ('{"json":{"line":"true"}}', DatasetFormat("json")),
        ('{"Json":{"Line":false}}', DatasetFormat("json")),
        ("jsonlines", DatasetFormat("json")),
        ('{"sagemakerCaptureJson":{}}', DatasetFormat("sagemakerCaptureJson")),
        ('{"sagemakerCaptureJson":{"captureIndexNames":[]}}', DatasetFormat("sagemakerCaptureJson")),
        (
            '{"sagemakerMergeJson":{"captureIndexNames":["endpointOutput"]}}',
            DatasetFormat("sagemakerMergeJson", capture_indices=("endpointOutput",)),
        ),
        (
            '{"SagemakerCaptureJson":{"CaptureIndexNames":"batchtransformoutput"}}',
            DatasetFormat("sagemakerCaptureJson", capture_indices=("batchTransformOutput",)),
        ),
    ],
)
def test_every_spelling_seen_in_the_wild_is_read(text, expected):
    assert parse_dataset_format(text) == expected


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ('{"cvs":{}}', "did you mean csv?"),
        ('{"csv":{"headers":true}}', "did you mean header?"),
        ('{"csv":{"header":"maybe"}}', "csv.header must be true or false"),
        ('{"json":{"lnes":true}}', "did you mean line"),
        ('{"parquet":{"header":true}}', "leave it out"),
        ('{"csv":{"header":true}', "braces are unbalanced"),
        ('{"csv":{},"json":{}}', "exactly one key"),
        ('{"csv":[]}', "must hold an object"),
        ('{"csv":{"output_columns_position":"MIDDLE"}}', "known are START, END"),
        ('{"sagemakerCaptureJson":{"captureIndexNames":["endpointOutpt"]}}', "did you mean endpointOutput?"),
        ('{"sagemakerCaptureJson":{"captureIndexNames":7}}', "write a list such as"),
        ("[1]", "exactly one key"),
        ("", "not valid JSON"),
    ],
)
def test_mistakes_are_named_with_their_fix(text, part):
    with pytest.raises(ConfigurationError) as caught:
        parse_dataset_format(text)
    assert "dataset_format" in caught.value.message
    assert part in caught.value.message


@given(
    st.recursive(
        st.none() | st.booleans() | st.text() | st.integers(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_json_is_read_or_refused_in_words(value):
    with contextlib.suppress(ConfigurationError):
        assert isinstance(parse_dataset_format(json.dumps(value)), DatasetFormat)


def test_all_mistakes_are_named_at_once():
    with pytest.raises(ConfigurationError) as caught:
        parse_dataset_format('{"csv":{"header":"maybe","separator":"x","heder":true}}')
    error = pickle.loads(pickle.dumps(caught.value))
    assert error.file == "dataset_format"
    assert [mistake.field for mistake in error.mistakes] == ["csv.header", "csv.separator", "csv.heder"]
    assert all(mistake.text in error.message for mistake in error.mistakes)
