"""A real server of the S3 protocol on this machine: the fixture `bucket` is the folder behind ``s3://bucket``."""

import contextlib
import shutil

import pytest

from benchmarks import uploads
from file_storage import s3

ACCESS, SECRET = uploads.KEYS


@pytest.fixture(scope="module")
def s3_server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("buckets")
    with contextlib.ExitStack() as stack:
        try:
            variables = stack.enter_context(uploads.serve_s3(folder))
        except OSError as error:
            pytest.skip(str(error))
        yield folder, variables["AWS_ENDPOINT_URL_S3"]


def forget_connections():
    s3.file_system.cache_clear()
    s3.client.cache_clear()


@pytest.fixture
def bucket(s3_server, monkeypatch):
    folder, address = s3_server
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", address)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "restored after the test")
    monkeypatch.delenv("AWS_REQUEST_CHECKSUM_CALCULATION")
    forget_connections()
    here = folder / "bucket"
    shutil.rmtree(here, ignore_errors=True)
    here.mkdir()
    yield here
    forget_connections()
