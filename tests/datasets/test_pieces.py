import itertools

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from file_storage.storage import SourceFile, lines_before
from readers.splitting import SMALL, FileRange, divide, joined, label, line_blocks, split_size

sizes = st.lists(st.integers(0, 10_000) | st.integers(0, 1 << 30), max_size=30)


@given(sizes, st.booleans())
def test_pieces_cover_all_files_in_order(lengths, may_cut):
    files = [SourceFile(f"/data/{i:03d}", length) for i, length in enumerate(lengths)]
    groups = divide(files, may_cut=lambda file: may_cut)
    pieces = [piece for group in groups for piece in group]
    paths = [piece.path for piece in pieces]
    assert list(dict.fromkeys(paths)) == [file.path for file in files]
    for path, group in itertools.groupby(pieces, key=lambda piece: piece.path):
        parts = list(group)
        if len(parts) == 1:
            assert parts[0].is_whole_file
            continue
        size = lengths[int(path[-3:])]
        assert (parts[0].start, parts[-1].end) == (0, size)
        assert all(left.end == right.start for left, right in itertools.pairwise(parts))
    if 0 < sum(lengths) < SMALL:
        assert len(groups) == 1


@given(sizes)
def test_splits_are_neither_tiny_nor_huge(lengths):
    files = [SourceFile(f"/data/{i:03d}", length) for i, length in enumerate(lengths)]
    target = split_size(sum(lengths))
    if sum(lengths) < SMALL:
        return
    weights = [
        sum(lengths[int(p.path[-3:])] if p.is_whole_file else p.end - p.start for p in group)
        for group in divide(files, may_cut=lambda file: True)
    ]
    assert max(weights) <= 2.5 * target + 1
    # Only what stands before a file that is cut, and what is left at the end, may be smaller.
    assert sum(weight < target / 2 for weight in weights) <= 1 + sum(n > 1.5 * target for n in lengths)


def test_thousands_of_small_files_are_few_splits():
    files = [SourceFile(f"/data/{i:05d}.jsonl", 50_000) for i in range(5000)]
    assert 8 <= len(divide(files)) <= 20


@given(
    st.lists(st.integers(0, 30), max_size=30), st.integers(1, 50), st.lists(st.integers(0, 400), max_size=4)
)
def test_every_line_belongs_to_one_piece(tmp_path_factory, lengths, size, cuts):
    path = tmp_path_factory.getbasetemp() / "lines.txt"
    data = b"\n".join(b"%d" % i * n for i, n in enumerate(lengths))
    path.write_bytes(data)
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    ranges = [FileRange(str(path), start, end) for start, end in itertools.pairwise(edges)]
    for pieces in (ranges, [FileRange(str(path))]):
        blocks = [block for piece in pieces for block in line_blocks(piece, size=size)]
        assert b"".join(block.data for block in blocks) == data
        assert all(block.data.endswith(b"\n") for block in blocks[:-1])
        assert all(data[block.offset :].startswith(block.data) for block in blocks)


def test_places_in_files_are_told(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\ntwo\nthree")
    assert [lines_before(str(path), offset) for offset in (0, 3, 4, 8, 99)] == [0, 0, 1, 2, 2]
    assert label((FileRange("a", 5, 9),)) == "a bytes 5-9"
    assert label((FileRange("a"), FileRange("b"))) == "a and 1 more"


@pytest.mark.parametrize(("total", "size"), [(0, 1 << 20), (64 << 20, 4 << 20), (1 << 40, 48 << 20)])
def test_split_sizes_follow_the_data(total, size):
    assert split_size(total) == size


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from("ab")), max_size=30))
def test_small_batches_of_one_schema_are_joined_in_order(parts):
    counter = itertools.count()
    batches = [
        pa.record_batch(
            {name: pa.array([f"{next(counter)}" for _ in range(rows)], pa.string()).dictionary_encode()}
        )
        for rows, name in parts
    ]
    together = list(joined(batches))
    assert [row for batch in together for row in batch.to_pylist()] == [
        row for batch in batches for row in batch.to_pylist()
    ]
    assert len(together) == len(list(itertools.groupby(name for _, name in parts)))


def test_large_batches_pass_unchanged():
    batches = [pa.record_batch({"a": range(40_000)}), pa.record_batch({"a": range(10)})]
    assert [batch.num_rows for batch in joined(batches * 2)] == [40_000, 40_010, 10]
