import csv
import gzip
import io
import itertools
import math
import pickle
import tempfile
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from dataset_reading import first_batch, heard, plan, read, request, rows
from fixtures import fixture
from hypothesis import given, settings
from hypothesis import strategies as st
from sentences import says

from contract.errors import DatasetError
from file_storage.storage import SourceFile
from readers import csv_records, splitting
from readers.csv import csv_splits, read_csv, read_head
from readers.dataset import NotSplittable
from readers.splitting import FileRange, FileSplit

HEADERLESS = '{"csv":{"header":false}}'

cells = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8),
    st.text(',"\n\r aé', max_size=6),
    st.sampled_from(["", "1", "-2.5", "nan", "true", "2024-01-01", '5" pipe', "0x1F"]),
)
tables = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(cells, min_size=width, max_size=width), min_size=1, max_size=12)
)


def csv_text(table, line_end="\n", quoting=csv.QUOTE_MINIMAL):
    text = io.StringIO()
    writer = csv.writer(text, lineterminator=line_end, quoting=quoting)
    writer.writerow([f"column {i}" for i in range(len(table[0]))])
    writer.writerows(table)
    return text.getvalue().encode()


def expected_text(table):
    """Return what the csv module would read, missing cells None."""
    return [{f"column {i}": cell or None for i, cell in enumerate(row)} for row in table]


def read_in_pieces(path, edges, **options):
    """Read a file in byte ranges, or whole when those say that it must not be cut."""
    wanted = request(path, **options)
    head = read_head(str(path), wanted)
    bounds = [0, *sorted(edges), path.stat().st_size]
    try:
        return rows(
            FileSplit((FileRange(str(path), start, end),), partial(read_csv, request=wanted, head=head))
            for start, end in itertools.pairwise(bounds)
            if start < end
        )
    except NotSplittable:
        return rows([FileSplit((FileRange(str(path)),), partial(read_csv, request=wanted))])


@settings(max_examples=120)
@given(
    tables,
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.lists(st.floats(0, 1), max_size=4),
    st.integers(1, 64),
)
def test_byte_ranges_together_are_the_whole(table, line_end, quoting, cuts, block_size):
    data = csv_text(table, line_end, quoting)
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(splitting, "BLOCK_SIZE", block_size):
        path = Path(folder) / "data.csv"
        path.write_bytes(data)
        edges = {int(cut * len(data)) for cut in cuts}
        assert read_in_pieces(path, edges, text_only=True) == expected_text(table)


@given(
    st.lists(st.one_of(st.none(), st.integers(), st.floats(width=32)), min_size=1, max_size=30),
    st.lists(st.floats(0, 1), max_size=3),
)
def test_numbers_are_read_exactly(values, cuts):
    table = [["" if value is None else repr(value), "x"] for value in values]
    data = csv_text(table)
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(splitting, "BLOCK_SIZE", 40):
        path = Path(folder) / "data.csv"
        path.write_bytes(data)
        got = [row["column 0"] for row in read_in_pieces(path, {int(cut * len(data)) for cut in cuts})]
    expected = [math.nan if value is None else float(value) for value in values]
    assert np.array_equal([math.nan if value is None else value for value in got], expected, equal_nan=True)


@settings(max_examples=500)
@given(st.lists(st.sampled_from([b'"', b'""', b",", b"\n", b"\r", b"a"]), max_size=16).map(b"".join))
def test_records_end_where_the_csv_module_says(data):
    # The module splits rows at a bare carriage return too, but that cannot be a place to cut.
    reader = csv.reader(io.StringIO((data + b"\n").decode(), newline=""))
    inside = [i for i in range(len(data)) if data[i : i + 1] == b"\n" and is_quoted(data[:i])]
    assert csv_records.lines_are_records(data + b"\n") == (not inside and not is_quoted(data))
    outside = [i + 1 for i in range(len(data)) if data[i : i + 1] == b"\n" and i not in inside]
    assert csv_records.last_record_end(data) == max(outside, default=0)
    assert all(isinstance(row, list) for row in reader)


def is_quoted(data: bytes) -> bool:
    """Return whether the end of `data` is inside a quoted field: the csv module then swallows a line end."""
    marked = list(csv.reader(io.StringIO((data + b"\nmark").decode(), newline="")))
    return marked[-1] != ["mark"]


def test_real_files_equal_pandas():
    for name in ("churn/training-dataset-with-header.csv", "monitoring_data_quality/baseline.csv"):
        path = fixture(f"model_monitor/{name}")
        got = pd.DataFrame(read(path))
        pd.testing.assert_frame_equal(got, pd.read_csv(path), check_dtype=False)


def test_types_are_numbers_or_text(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(
        "whole,real,text,flag,date,time,empty,zeros,hex,big,mixed\n"
        "1,1.5,x,true,2024-01-01,12:30:00,,007,0x1F,9223372036854775808,1\n"
        "2,nan,y,false,2024-01-02,12:31:00,,008,10,1,NaN\n"
    )
    schema = first_batch(path).schema
    kinds = {field.name: field.type for field in schema}
    text = pa.dictionary(pa.int32(), pa.string())
    assert kinds == {
        "whole": pa.int64(),
        "real": pa.float64(),
        "text": text,
        "flag": text,
        "date": text,
        "time": text,
        "empty": pa.null(),
        "zeros": text,
        "hex": text,
        "big": pa.float64(),
        "mixed": pa.float64(),
    }
    assert [row["hex"] for row in read(path)] == ["0x1F", "10"]


def test_all_cells_stay_text_when_asked(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('a,b\n007,1.50\n"",nan\n')
    assert read(path, text_only=True) == [{"a": "007", "b": "1.50"}, {"a": None, "b": "nan"}]
    assert set(first_batch(path, text_only=True).schema.types) == {pa.dictionary(pa.int32(), pa.string())}


def test_text_that_hardly_repeats_is_not_encoded(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("key,group\n" + "".join(f"id-{i},g{i % 3}\n" for i in range(1000)))
    schema = first_batch(path).schema
    assert schema.field("key").type == pa.string()
    assert schema.field("group").type == pa.dictionary(pa.int32(), pa.string())


def test_a_type_widens_from_the_block_where_it_must(tmp_path):
    path = tmp_path / "a.csv"
    # The first mebibyte, by which types are told, ends before the first cell that does not fit them.
    lines = [f"{i},1,{'' if i < 200_000 else i}" for i in range(300_000)]
    lines[150_000] = "150000,2.5,"
    lines[200_000] = "oops,1,200000"
    path.write_text("a,b,c\n" + "\n".join(lines) + "\n")
    with mock.patch.object(splitting, "BLOCK_SIZE", 500_000):
        batches = list(plan(path).splits[0].batches())
    kinds = [tuple(map(str, batch.schema.types)) for batch in batches]
    assert list(dict.fromkeys(kinds)) == [
        ("int64", "int64", "null"),
        ("int64", "double", "null"),
        ("string", "double", "int64"),
    ]
    table = pa.concat_tables(
        [pa.Table.from_batches([batch.select(["b", "c"])]) for batch in batches],
        promote_options="permissive",
    )
    assert table["b"].to_pylist() == [2.5 if i == 150_000 else 1 for i in range(300_000)]
    assert table["c"].to_pylist() == [None if i < 200_000 else i for i in range(300_000)]


def test_positions_get_the_baselines_names(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("1,x\n2,y\n")
    batch = first_batch(path, HEADERLESS, column_names=("age", "name"))
    assert batch.schema.names == ["age", "name"]
    assert batch.schema.metadata == {b"positional": b"true"}
    assert first_batch(path, HEADERLESS, column_names=("age",)).schema.names == ["_c0", "_c1"]
    assert first_batch(path, HEADERLESS).schema.names == ["_c0", "_c1"]
    assert first_batch(path, HEADERLESS, column_names=("name",), exclude=("0",)).to_pylist() == [
        {"name": "x"},
        {"name": "y"},
    ]
    assert first_batch(path, HEADERLESS, column_names=("age", "name"), exclude=("age",)).schema.names == [
        "name"
    ]
    path.write_text("id,name\n2,y\n")
    assert first_batch(path, '{"csv":{"header":true}}').schema.metadata is None


def test_columns_are_left_out_by_name_or_position(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a,b,0\n1,2,3\n")
    assert read(path, exclude=("b",)) == [{"a": 1, "0": 3}]
    assert read(path, exclude=("1", "absent")) == [{"a": 1, "0": 3}]
    assert read(path, exclude=("0",)) == [{"a": 1, "b": 2}]
    with pytest.raises(DatasetError) as caught:
        read(path, exclude=("a", "b", "0"))
    assert caught.value.code == "tables.none_left"


@pytest.mark.parametrize(
    "compress", [gzip.compress, lambda data: gzip.compress(data[:9]) + gzip.compress(data[9:])]
)
def test_gzip_is_seen_by_name_or_content(tmp_path, compress):
    for name in ("a.csv.gz", "b.csv"):
        (tmp_path / name).write_bytes(compress(b"a,b\n1,x\n2,y\n"))
    (tmp_path / "c.csv.gz").write_bytes(b"a,b\n1,x\n2,y\n")
    assert read(tmp_path) == 3 * [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]


@pytest.mark.parametrize(("codec", "ending"), [("bz2", ".bz2"), ("zstd", ".zst")])
def test_other_compressions_go_by_their_ending(tmp_path, codec, ending):
    with pa.CompressedOutputStream(str(tmp_path / f"a.csv{ending}"), codec) as stream:
        stream.write(b"a\n1\n2\n")
    assert read(tmp_path) == [{"a": 1}, {"a": 2}]


def test_a_large_compressed_file_is_one_split_and_a_plain_one_several(tmp_path):
    text = b"a,b\n" + b"".join(b"%d,text %d\n" % (i, i % 7) for i in range(400_000))
    (tmp_path / "plain.csv").write_bytes(text)
    cut = plan(tmp_path / "plain.csv")
    assert not cut.small
    assert len(cut.splits) > 4
    columns = [batch.column("a") for split in cut.splits for batch in split.batches()]
    assert np.array_equal(np.concatenate([column.to_numpy() for column in columns]), np.arange(400_000))
    assert len(plan(tmp_path / "plain.csv", whole_files=True).splits) == 1
    noise = np.random.default_rng(0).bytes(5 << 20).hex(" ", 500).replace(" ", "\n")
    (tmp_path / "noise.csv.gz").write_bytes(gzip.compress(b"a\n" + noise.encode(), 1))
    packed = plan(tmp_path / "noise.csv.gz")
    assert packed.total_bytes > 4 << 20
    assert len(packed.splits) == 1
    assert sum(batch.num_rows for batch in packed.splits[0].batches()) == noise.count("\n") + 1


def test_line_breaks_in_quotes_ask_for_whole_files(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b\n" + b'1,"two\nlines%s"\n' % (b"." * 100) * 50_000)
    with pytest.raises(NotSplittable):
        rows(plan(path).splits[:1])
    whole = plan(path, whole_files=True)
    batches = list(whole.splits[0].batches())
    assert sum(batch.num_rows for batch in batches) == 50_000
    assert batches[-1].to_pylist()[-1] == {"a": 1, "b": "two\nlines" + "." * 100}


def test_many_small_files_share_a_split_and_keep_their_own_header(tmp_path):
    for i in range(50):
        names = "a,b" if i % 2 else "b,a"
        folder = tmp_path / f"part-{i:02d}"
        folder.mkdir()
        (folder / "data.csv").write_text(f"{names}\n{i},x{i}\n")
    found = plan(tmp_path)
    assert len(found.splits) == 1
    assert found.small
    assert "49 more" in found.splits[0].label
    expected = [{"a": i, "b": f"x{i}"} if i % 2 else {"b": i, "a": f"x{i}"} for i in range(50)]
    assert rows(found.splits) == expected


def test_a_file_in_ranges_is_one_file_without_what_is_to_be_left_out(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n" + 5_000 * f"1,{'y' * 1_000}\n")
    with heard() as said:
        splits = plan(tmp_path / "a.csv", '{"csv":{"header":true}}', exclude=("nope",)).splits
        assert len(splits) > 1
        assert len(rows(splits)) == 5_000
    assert says(said.lines(), "reading.unexcluded", field="nope", count=1)


def test_splits_can_be_pickled(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b\n" + b"1,%s\n" % (b"x" * 50) * 100_000)
    splits = plan(path).splits
    assert len(splits) > 1
    restored = pickle.loads(pickle.dumps(splits))
    assert rows(restored[1:2]) == rows(splits[1:2])


def test_little_files_say_what_they_can(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"")
    assert read(path) == []
    path.write_bytes(b"\n\n")
    assert read(path) == []
    path.write_bytes(b"a,b")
    assert first_batch(path).schema == pa.schema([("a", pa.null()), ("b", pa.null())])
    assert first_batch(path, text_only=True).schema == pa.schema([("a", pa.string()), ("b", pa.string())])
    path.write_bytes(b"\xef\xbb\xbf\r\na,b\r\n1,2")
    assert read(path) == [{"a": 1, "b": 2}]
    path.write_bytes(b"\xef\xbb\xbf1,2\n")
    assert read(path, HEADERLESS) == [{"_c0": 1, "_c1": 2}]
    path.write_bytes(b",a\n0,x\n")
    assert read(path) == [{"_c0": 0, "a": "x"}]
    path.write_bytes(b"a,b\r1,2\r3,4\r")
    assert read(path) == [{"a": 1, "b": 2}, {"a": 3, "b": 4}]
    path.write_bytes(b'"a\nb","c"\n1,2\n')
    assert read(path) == [{"a\nb": 1, "c": 2}]


def test_very_long_lines_and_many_columns_are_read(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b\n1," + b"x" * (10 << 20) + b"\n2,y\n")
    assert [len(row["b"]) for row in read(path)] == [10 << 20, 1]
    names = [f"a rather long column name {i:06d}" for i in range(40_000)]
    path.write_text(",".join(names) + "\n" + ",".join(map(str, range(40_000))) + "\n")
    batch = first_batch(path)
    assert batch.num_columns == 40_000
    assert batch.column(39_999).to_pylist() == [39_999]


@pytest.mark.parametrize(
    ("data", "parts"),
    [
        (b"a,b\n1,2\n\n3,4,5\n", ["line 4 has 3 cells", "header has 2", "'3,4,5'"]),
        (b'a,b\n"x\ny",2\n3\n', ["line 4 has 1 cells", "header has 2"]),
        (b"a,b\n1,\xff\xfe\n", ["line 2 is not UTF-8", "save the file as UTF-8"]),
        (b"a,\xff\n1,2\n", ["line 1 is not UTF-8"]),
        (b"a,b\n1,x\0y\n", ["line 2 holds a zero byte"]),
        ("a,b\n1,2\n".encode("utf-16"), ["UTF-16", "save it as UTF-8"]),
        (b"a,b,a\n1,2,3\n", ["two columns called 'a'", "header"]),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, data, parts):
    path = tmp_path / "broken.csv"
    path.write_bytes(data)
    with pytest.raises(DatasetError) as caught:
        read(path)
    assert str(path) in caught.value.message
    for part in parts:
        assert part in caught.value.message


def test_lines_are_counted_across_blocks_and_ranges(tmp_path):
    path = tmp_path / "broken.csv"
    lines = ["a,b"] + [f"{i},x" for i in range(1000)]
    lines[777] = "1,2,3"
    path.write_text("\n".join(lines) + "\n")
    with (
        mock.patch.object(splitting, "BLOCK_SIZE", 500),
        pytest.raises(DatasetError, match="line 778 has 3 cells"),
    ):
        read(path)
    size = path.stat().st_size
    with pytest.raises(DatasetError, match="line 778 has 3 cells") as caught:
        read_in_pieces(path, {size // 3, size // 2})
    assert (caught.value.code, caught.value.file) == ("csv.cells", str(path))


def test_a_quote_that_is_never_closed_is_named(tmp_path):
    path = tmp_path / "broken.csv"
    path.write_bytes(b'a,b\n1,"open\n' + b"1,x\n" * 1000)
    with (
        mock.patch.object(csv_records, "LONGEST_FIELD", 1000),
        mock.patch.object(splitting, "BLOCK_SIZE", 500),
        pytest.raises(DatasetError, match="quote that is not closed") as caught,
    ):
        read(path)
    assert (caught.value.code, caught.value.file) == ("csv.endless_quote", str(path))


@pytest.mark.parametrize("text", [b'a,"b\n1,2\n3,4\n', b'"a,b\n1,2\n', b'a;"b\n1;2\n'])
def test_a_quote_left_open_in_the_header_has_a_code(tmp_path, text):
    path = tmp_path / "header.csv"
    path.write_bytes(text)
    with pytest.raises(DatasetError) as caught:
        read(path)
    assert (caught.value.code, caught.value.file) == ("csv.unclosed_quote", str(path))


def test_cut_files_are_divided_by_size_alone(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"a\n" + b"1\n" * 3_000_000)
    files = [SourceFile(str(path), path.stat().st_size)]
    splits = csv_splits(files, request(path))
    edges = [(split.pieces[0].start, split.pieces[0].end) for split in splits]
    assert edges[0][0] == 0
    assert edges[-1][1] == path.stat().st_size
    assert all(left[1] == right[0] for left, right in itertools.pairwise(edges))


@pytest.mark.parametrize("data", [b"0x1F\n", b"0X1F", b"5\n0x1F\n", b'5\n"0x1F"\n', b"5\r\n 0xa\r\n"])
def test_hexadecimals_are_no_numbers_wherever_they_stand(tmp_path, data):
    path = tmp_path / "a.csv"
    path.write_bytes(data)
    assert first_batch(path, HEADERLESS).column(0).to_pylist() == [
        line.strip('"') for line in data.decode().splitlines()
    ]
    assert read(path, HEADERLESS)[0]["_c0"] is not None
