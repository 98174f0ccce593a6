import datetime
import decimal
import uuid

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dataset_reading import first_batch, plan, read, rows

from contract.errors import DatasetError


def write(path, columns, **options):
    pq.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), path, **options)
    return path


def test_all_types_come_out_flat(tmp_path):
    day, noon = datetime.date(2024, 2, 29), datetime.datetime(2024, 2, 29, 12, 0, 0, 500)
    columns = {
        "int8": pa.array([1, None], pa.int8()),
        "uint64": pa.array([2**64 - 1, None], pa.uint64()),
        "half": pa.array(np.array([1.5, 2.5], np.float16)),
        "real": pa.array([1.5, None], pa.float32()),
        "flag": pa.array([True, None]),
        "text": pa.array(["x", None]),
        "large": pa.array(["x", None], pa.large_string()),
        "codes": pa.array(["x", None]).dictionary_encode(),
        "nothing": pa.nulls(2),
        "day": pa.array([day, None]),
        "instant": pa.array([noon, None], pa.timestamp("us", "UTC")),
        "time": pa.array([datetime.time(12, 30), None]),
        "price": pa.array([decimal.Decimal("1.25"), None]),
        "bytes": pa.array([b"abc", None]),
        "struct": pa.array([{"a": 1, "b": {"c": "x"}}, None]),
        "list": pa.array([[1, 2], [3]]),
    }
    batch = first_batch(write(tmp_path / "a.parquet", columns), "parquet")
    plain = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_null)
    text = (pa.types.is_string, pa.types.is_large_string, pa.types.is_dictionary)
    assert all(any(is_kind(kind) for is_kind in plain + text) for kind in batch.schema.types)
    first, second = batch.to_pylist()
    assert first["struct.a"] == 1
    assert first["struct.b.c"] == "x"
    assert (first["list.0"], first["list.1"], second["list.1"]) == (1, 2, None)
    assert first["price"] == 1.25
    assert first["day"] == "2024-02-29"
    assert first["uint64"] == 2**64 - 1
    assert all(second[name] is None for name in batch.schema.names if not name.startswith(("list", "half")))


def test_uuids_are_text_as_others_write_them(tmp_path):
    ids = [uuid.UUID(int=0x1E5 << number) for number in range(120)] + [None]
    table = pa.table({"id": pa.array([one and one.bytes for one in ids], pa.uuid())})
    found = read(write(tmp_path / "a.parquet", table), "parquet")
    assert [row["id"] for row in found] == [one and str(one) for one in ids]


@pytest.mark.parametrize("kind", [pa.decimal128(20, 0), pa.decimal256(40, 0)])
def test_whole_decimals_of_64_bits_are_exact(tmp_path, kind):
    values = [2**64 - 1, 2**63, 2**53 + 1, 7, None]
    table = pa.table({"id": pa.array([decimal.Decimal(v) if v else None for v in values], kind)})
    assert [row["id"] for row in read(write(tmp_path / "a.parquet", table), "parquet")] == values


def test_text_is_read_as_codes_where_it_is_stored_so(tmp_path):
    columns = {"group": [f"g{i % 9}" for i in range(5000)], "key": [f"key {i}" for i in range(5000)]}
    schema = first_batch(write(tmp_path / "a.parquet", columns), "parquet").schema
    assert schema.field("group").type == pa.dictionary(pa.int32(), pa.string())
    assert schema.field("key").type == pa.string()
    plain = write(tmp_path / "b.parquet", columns, use_dictionary=False)
    assert first_batch(plain, "parquet").schema.field("group").type == pa.string()


def test_row_groups_of_a_large_file_are_divided(tmp_path):
    noise = np.random.default_rng(0).integers(0, 2**62, 700_000)
    path = write(tmp_path / "a.parquet", {"noise": noise}, row_group_size=50_000, use_dictionary=False)
    found = plan(path, "parquet")
    assert not found.small
    assert len(found.splits) == 5
    assert "row groups 0-2" in found.splits[0].label
    assert [row["noise"] for row in rows(found.splits)] == noise.tolist()
    whole = write(tmp_path / "a.parquet", {"noise": noise}, row_group_size=1 << 30, use_dictionary=False)
    assert len(plan(whole, "parquet").splits) == 1
    assert all(batch.num_rows <= 65_536 for batch in plan(whole, "parquet").splits[0].batches())


def test_small_files_share_a_split_whatever_their_columns(tmp_path):
    (tmp_path / "deep" / "down").mkdir(parents=True)
    write(tmp_path / "a.parquet", {"x": [1]})
    write(tmp_path / "deep" / "down" / "b.parquet", {"y": ["z"], "x": [2.5]})
    (tmp_path / "_SUCCESS").write_text("")
    assert len(plan(tmp_path, "parquet").splits) == 1
    assert read(tmp_path, "parquet") == [{"x": 1}, {"y": "z", "x": 2.5}]


def test_columns_are_left_out(tmp_path):
    path = write(tmp_path / "a.parquet", {"a": [1], "a.b": [2], "c": [{"d": 3, "e": 4}]})
    assert read(path, "parquet", exclude=("a.b",)) == [{"a": 1, "c.d": 3, "c.e": 4}]
    assert read(path, "parquet", exclude=("0", "c.d")) == [{"a.b": 2, "c.e": 4}]
    assert read(path, "parquet", exclude=("c",)) == [{"a": 1, "a.b": 2}]
    with pytest.raises(DatasetError) as caught:
        read(path, "parquet", exclude=("0", "1", "2"))
    assert caught.value.code == "tables.none_left"


def test_a_table_without_rows_still_has_columns(tmp_path):
    path = write(
        tmp_path / "a.parquet", pa.table({"a": pa.array([], pa.int64()), "b": pa.array([], pa.string())})
    )
    batch = first_batch(path, "parquet")
    assert (batch.num_rows, batch.schema.names) == (0, ["a", "b"])


def test_wide_tables_come_in_shorter_batches(tmp_path):
    path = write(tmp_path / "a.parquet", {f"c{i}": np.zeros(5000) for i in range(2000)})
    assert all(
        batch.num_rows * batch.num_columns <= 8 << 20 for batch in plan(path, "parquet").splits[0].batches()
    )


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[:-9], lambda data: b"a,b\n1,2\n" * 9])
def test_what_is_not_parquet_is_named(tmp_path, damage):
    path = write(tmp_path / "a.parquet", {"a": range(1000)})
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DatasetError, match=r"truncated or not Parquet|looks like CSV") as caught:
        read(path, "parquet")
    assert str(path) in caught.value.message


def test_damaged_pages_are_named(tmp_path):
    path = write(tmp_path / "a.parquet", {"a": np.arange(90_000)}, use_dictionary=False, compression="zstd")
    data = bytearray(path.read_bytes())
    data[2000:60_000] = b"\7" * 58_000
    path.write_bytes(data)
    with pytest.raises(DatasetError, match="cannot be read") as caught:
        read(path, "parquet")
    assert str(path) in caught.value.message
