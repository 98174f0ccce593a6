"""SageMaker's account on this machine: moto keeps models and endpoints, a server answers for all of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from models.model_server import Answer, Request, Server, csv_sums, serving

from model_clients import temporary_endpoint

boto3 = pytest.importorskip("boto3")
moto_server = pytest.importorskip("moto.server")
moto_models = pytest.importorskip("moto.sagemaker.models")

REGION = "eu-central-1"


@contextmanager
def sagemaker() -> Iterator[str]:
    """Yield the address of a server that speaks SageMaker's protocol."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


class Account:
    """An account with a model `loans`, and a server that answers for every endpoint."""

    def __init__(
        self, service: str, runtime: Server, behaviour: dict[str, Callable[[Request], Answer]]
    ) -> None:
        self.client = boto3.client("sagemaker", region_name=REGION, endpoint_url=service)
        self.runtime = runtime
        self.behaviour = behaviour
        self.backend = moto_models.sagemaker_backends["123456789012"][REGION]
        self.backend.reset()
        role = "arn:aws:iam::123456789012:role/monitor"
        self.client.create_model(ModelName="loans", ExecutionRoleArn=role, PrimaryContainer={"Image": "i"})

    @property
    def endpoints(self) -> list[str]:
        return list(self.backend.endpoints)

    @property
    def left(self) -> list[str]:
        return [*self.backend.endpoints, *self.backend.endpoint_configs]

    def never_ready(self, monkeypatch: pytest.MonkeyPatch, refused: int = 0) -> None:
        """Have endpoints stay in creation, and their deletion refused so many times."""
        make, delete = moto_models.FakeEndpoint.__init__, self.backend.delete_endpoint

        def creating(self: Any, *arguments: Any, **named: Any) -> None:
            make(self, *arguments, **named)
            self.endpoint_status = "Creating"

        def refusing(name: str) -> None:
            nonlocal refused
            refused -= 1
            if refused >= 0:
                raise moto_models.ValidationError(message=f'Cannot update in-progress endpoint "{name}".')
            delete(name)

        monkeypatch.setattr(moto_models.FakeEndpoint, "__init__", creating)
        monkeypatch.setattr(self.backend, "delete_endpoint", refusing)


@contextmanager
def account_of(service: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    """Yield an account that this process, and processes it starts, use."""
    behaviour = {"post": csv_sums}
    for name, value in {
        "AWS_ENDPOINT_URL_SAGEMAKER": service,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setattr(temporary_endpoint, "_DELETION_PAUSE", 0.001)
    with serving(lambda request: behaviour["post"](request)) as runtime:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", runtime.address)
        account = Account(service, runtime, behaviour)
        yield account
        account.client.close()
