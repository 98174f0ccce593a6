"""Against a real server of the S3 protocol, on this machine."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dataset_reading import plan, read, rows
from refusals import refused
from s3_server import forget_connections

from contract.errors import DatasetError, DocumentError, OutputError
from file_storage import s3, storage


def test_every_format_is_read(bucket):
    (bucket / "in" / "deep").mkdir(parents=True)
    (bucket / "in" / "deep" / "a.csv").write_text("a,b\n1,x\n2,y\n")
    (bucket / "in" / "b.csv").write_text("a,b\n3,z\n")
    (bucket / "in" / "_SUCCESS").write_text("")
    expected = [{"a": 3, "b": "z"}, {"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
    assert read("s3://bucket/in") == expected
    assert read("s3://bucket/in/") == expected
    assert read("s3://bucket/in/b.csv") == expected[:1]
    (bucket / "a.jsonl").write_text('{"a":1}\n{"a":2}\n')
    assert read("s3://bucket/a.jsonl", "json") == [{"a": 1}, {"a": 2}]
    pq.write_table(pa.table({"a": [1, 2]}), bucket / "a.parquet")
    assert read("s3://bucket/a.parquet", "parquet") == [{"a": 1}, {"a": 2}]


@pytest.fixture
def any_keys(monkeypatch):
    """Yield a bucket whose keys may be at once object and folder."""
    moto = pytest.importorskip("moto.server")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://{}:{}".format(*server.get_host_and_port()))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "any")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    forget_connections()
    s3.client().create_bucket(Bucket="bucket")
    yield lambda key, body: s3.client().put_object(Bucket="bucket", Key=key, Body=body)
    forget_connections()
    server.stop()


def test_an_empty_object_may_stand_for_a_folder(any_keys):
    any_keys("in", b"")
    any_keys("in/a.csv", b"a\n1\n")
    assert read("s3://bucket/in") == [{"a": 1}]
    any_keys("empty.csv", b"")
    assert [file.size for file in storage.list_files("s3://bucket/empty.csv")] == [0]


def test_a_large_file_is_read_in_ranges(bucket):
    (bucket / "a.csv").write_bytes(b"a,b\n" + b"".join(b"%d,%s\n" % (i, b"x" * 50) for i in range(90_000)))
    found = plan("s3://bucket/a.csv")
    assert len(found.splits) > 3
    assert [row["a"] for row in rows(found.splits)] == list(range(90_000))


def test_results_are_written_and_found(bucket):
    storage.prepare_output("s3://bucket/out/now")
    storage.write_files_atomically("s3://bucket/out/now", {"statistics.json": b"{}"})
    assert (bucket / "out" / "now" / "statistics.json").read_bytes() == b"{}"
    for path in ("s3://bucket/out/now", "s3://bucket/out/now/statistics.json"):
        found = storage.resolve_document(path, ("statistics.json",), "baseline_statistics")
        assert storage.read_bytes(found) == b"{}"
    with pytest.raises(DocumentError, match="baseline_constraints s3://bucket/out"):
        storage.resolve_document("s3://bucket/out", ("constraints.json",), "baseline_constraints")


def test_a_window_without_objects_is_empty_but_a_wrong_path_is_not(bucket):
    (bucket / "a.csv").write_text("a\n1\n")
    assert plan("s3://bucket/endpoint/2026/05/06/22").splits == ()
    for source in ("s3://bucket/endpint", "s3://bukket/endpoint/2026/05/06/22", "s3://bukket"):
        with refused(DatasetError, "stored_file.no_prefix"):
            plan(source)


def test_what_s3_refuses_is_named(bucket, monkeypatch):
    with refused(OutputError, "stored_file.no_bucket"):
        storage.prepare_output("s3://bukket/out")
    with pytest.raises(OutputError, match=r"s3://bukket/out cannot be written: .*check bucket"):
        storage.write_files_atomically("s3://bukket/out", {"a": b""})
    with pytest.raises(DatasetError, match=r"s3://bucket/absent.csv cannot be read"):
        storage.read_bytes("s3://bucket/absent.csv")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    s3.file_system.cache_clear()
    with pytest.raises(DatasetError, match=r"dataset_source s3://bucket cannot be read: access denied"):
        plan("s3://bucket")


def test_a_key_of_kms_encrypts_small_objects_and_large_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    moto = pytest.importorskip("moto")
    boto3 = pytest.importorskip("boto3")
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    s3.client.cache_clear()
    try:
        with moto.mock_aws():
            asked = boto3.client("s3", region_name="us-east-1")
            asked.create_bucket(Bucket="encrypted")
            s3.encrypt_with("alias/reports")
            storage.write_file("s3://encrypted/small.json", b"{}")
            storage.write_file("s3://encrypted/large.json", bytes(6 << 20))
            for name in ("small.json", "large.json"):
                found = asked.head_object(Bucket="encrypted", Key=name)
                assert (found["ServerSideEncryption"], found["SSEKMSKeyId"]) == ("aws:kms", "alias/reports")
    finally:
        s3.encrypt_with(None)
        s3.client.cache_clear()
