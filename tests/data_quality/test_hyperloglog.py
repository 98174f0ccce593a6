import json

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from fixtures import fixture
from hypothesis import given
from hypothesis import strategies as st

from analyzers.data_quality.sketches import HyperLogLog, hash_bits
from analyzers.data_quality.text import SEED, hash_words, read_texts


def text_hashes(texts: list[str]) -> np.ndarray:
    return read_texts(pa.array(texts, pa.string()), hash_as_text=True).hashes


@given(st.lists(st.text(max_size=80) | st.text(min_size=60, max_size=400), max_size=30), st.integers(0, 5))
def test_texts_hash_as_the_package_does(texts, skipped):
    array = pa.array(texts, pa.large_string())[skipped:]
    hashes = read_texts(array, hash_as_text=True).hashes.tolist()
    assert hashes == [xxhash.xxh64_intdigest(text.encode(), SEED) for text in texts[skipped:]]


@given(st.lists(st.integers(0, 2**64 - 1), max_size=30))
def test_words_hash_as_the_package_does(words):
    array = np.array(words, dtype=np.uint64)
    expected = [xxhash.xxh64_intdigest(word.to_bytes(8, "little"), SEED) for word in words]
    assert hash_words(array).tolist() == expected


def test_recorded_categorical_estimates():
    document = json.loads(fixture("model_monitor/dq_service_output/ox2025/statistics.json").read_bytes())
    checked = 0
    for feature in document["features"]:
        string = feature.get("string_statistics")
        if not string:
            continue
        values = [bucket["value"] for bucket in string["distribution"]["categorical"]["buckets"]]
        counter = HyperLogLog()
        counter.add_hashes(text_hashes(values))
        assert float(counter.estimate()) == string["distinct_count"]
        checked += 1
    assert checked == 4


def plain_registers(hashes: np.ndarray) -> list[int]:
    """Spark's rule, one hash at a time in plain integers."""
    registers = [0] * 512
    for value in hashes.tolist():
        rest = (value << 9) & (2**64 - 1) | 1 << 8
        registers[value >> 55] = max(registers[value >> 55], 64 - rest.bit_length() + 1)
    return registers


@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 511).map(lambda n: n << 55 | n), max_size=200))
def test_registers_follow_the_rule(hashes):
    counter = HyperLogLog()
    array = np.array(hashes, dtype=np.uint64)
    for part in np.array_split(array, 3):
        counter.add_hashes(part)
    assert counter.registers.tolist() == plain_registers(array)


def test_skipping_what_cannot_count_changes_no_register():
    values = np.random.default_rng(5).normal(size=100_000)
    skipping, plain = HyperLogLog(), HyperLogLog()
    scratch = np.empty((2, 10_000), dtype=np.uint64)
    for part in np.split(values, 10):
        skipping.add_bits(part.view(np.uint64), scratch)
    plain.add_hashes(hash_bits(values.view(np.uint64)))
    assert np.array_equal(skipping.registers, plain.registers)


@pytest.mark.parametrize("distinct", [1, 10, 120, 350, 450, 600, 900, 1500, 2500, 4000, 30_000])
@pytest.mark.parametrize("kind", ["random", "counting", "cents"])
def test_estimates_are_unbiased(distinct, kind):
    generator = np.random.default_rng(distinct)
    errors = []
    for trial in range(60):
        if kind == "random":
            hashes = generator.integers(0, 2**64, size=distinct, dtype=np.uint64)
        else:
            numbers = np.arange(distinct) + float(trial * distinct)
            hashes = hash_bits((numbers / 100 if kind == "cents" else numbers).view(np.uint64))
        counter = HyperLogLog()
        counter.add_hashes(hashes)
        errors.append(counter.estimate() / distinct - 1)
    # The standard deviation of one estimate is 0.05.
    assert abs(np.mean(errors)) < 0.02
    assert np.max(np.abs(errors)) < 0.25


def test_merging_is_taking_in_both():
    hashes = np.random.default_rng(6).integers(0, 2**64, size=5000, dtype=np.uint64)
    left, right, whole = HyperLogLog(), HyperLogLog(), HyperLogLog()
    left.add_hashes(hashes[:3000])
    right.add_hashes(hashes[2000:])
    whole.add_hashes(hashes)
    left.merge(right)
    assert np.array_equal(left.registers, whole.registers)


def test_nothing_counts_zero():
    assert HyperLogLog().estimate() == 0
