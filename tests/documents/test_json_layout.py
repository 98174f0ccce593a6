"""Strict JSON in the original files' layout."""

import json
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract import json_layout
from contract.errors import DocumentError

# What OpenJDK 19 and later print, from the specification of Double.toString.
JAVA = {
    0.001: "0.001",
    0.00099: "9.9E-4",
    1e7: "1.0E7",
    9999999.0: "9999999.0",
    12345678.5: "1.23456785E7",
    1e-5: "1.0E-5",
    100.0: "100.0",
    1e21: "1.0E21",
    -3.25e-7: "-3.25E-7",
    14402689218.907343: "1.4402689218907343E10",
    -0.0: "-0.0",
}


@pytest.mark.parametrize(("value", "text"), JAVA.items())
def test_floats_print_as_java_prints_them(value: float, text: str) -> None:
    assert json_layout.java_double(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_survive(value: float) -> None:
    text = json_layout.java_double(value)
    assert re.fullmatch(r"-?\d+\.\d+(E-?\d+)?", text)
    assert math.copysign(1, float(text)) == math.copysign(1, value)
    assert float(text) == value


# Of every size, and near the bounds where the notation changes.
_sizes = st.floats(allow_nan=False, allow_infinity=False) | st.builds(
    lambda bound, steps: float(np.nextafter(bound, steps)),
    st.sampled_from([1e-3, -1e-3, 1e7, -1e7, 0.0, 1e16]),
    st.sampled_from([-math.inf, math.inf, 1.0]),
)


@given(st.lists(_sizes, min_size=1, max_size=200))
def test_many_floats_print_as_each_does_alone(values: list[float]) -> None:
    many = values * (1 + 100 // len(values))
    expected = f'{{\n  "x" : [ {", ".join(map(json_layout.java_double, many))} ]\n}}'
    assert json_layout.dumps({"x": many}).decode() == expected
    assert json_layout.dumps({"x": np.array(many)}).decode() == expected


def test_many_values_that_are_not_all_floats_print_as_each_does_alone() -> None:
    many = [0.5, 1, None, True, "a,b", 2**60, 1e9] * 20
    assert json.loads(json_layout.dumps({"x": many})) == {"x": many}
    with pytest.raises(ValueError, match="strict JSON"):
        json_layout.dumps({"x": [0.5] * 100 + [math.nan]})


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_strict_json_cannot_hold_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="strict JSON"):
        json_layout.dumps({"x": value})


_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**62), 2**62)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=30,
)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), _values))
def test_any_document_survives(document: dict) -> None:
    assert json.loads(json_layout.dumps(document)) == document


def test_layout() -> None:
    document = {"a": [{"b": 1, "c": [0.5, 2.0]}, {}], "d": ["x", "y"], "e": [], "f": np.array([1.0, 3e8])}
    assert json_layout.dumps(document).decode() == (
        '{\n  "a" : [ {\n    "b" : 1,\n    "c" : [ 0.5, 2.0 ]\n  }, { } ],\n  "d" : [ "x", "y" ],\n'
        '  "e" : [ ],\n  "f" : [ 1.0, 3.0E8 ]\n}'
    )


@pytest.mark.parametrize("data", [b"", b"{", b"[1]", b'{"a": NaN}', b"\xff"])
def test_what_is_not_an_object_is_refused_by_name(data: bytes) -> None:
    with pytest.raises(DocumentError, match=r"baseline\.json"):
        json_layout.loads(data, "baseline.json")


def test_a_member_that_is_there_twice_is_named() -> None:
    with pytest.raises(DocumentError) as caught:
        json_layout.loads(b'{"features": [{"name": "x", "a": 1, "a": 2}], "b": {"a": 1}}', "c.json")
    assert caught.value.code == "json.twice"
    assert "c.json has the member 'a' twice" in caught.value.message


def test_halves_of_characters_are_no_json_beside_what_reads_as_infinity() -> None:
    with pytest.raises(DocumentError, match=r"^c\.json is not valid JSON .*surrogate"):
        json_layout.loads(b'{"method": "LInfinity", "\\ud800": 1.0}', "c.json")


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999"])
def test_a_number_that_json_cannot_hold_is_named_by_its_path(number: str) -> None:
    with pytest.raises(DocumentError) as caught:
        json_layout.loads(f'{{"features":[{{"completeness":{number}}}]}}'.encode(), "constraints.json")
    assert "constraints.json: features[0].completeness is " in caught.value.message


def test_a_byte_order_mark_is_no_mistake() -> None:
    assert json_layout.loads(b'\xef\xbb\xbf{"features":[]}', "constraints.json") == {"features": []}
