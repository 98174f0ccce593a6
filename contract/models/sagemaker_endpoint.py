"""A SageMaker endpoint, asked through boto3, which signs requests and finds the server.

``AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME``, ``AWS_ENDPOINT_URL`` and credentials are boto3's to find; so is the
region, where ``AWS_REGION`` does not tell.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from typing import Any

from contract.analysis_config.members import PredictorConfig
from contract.errors import ModelError
from contract.models.asking import Progress
from contract.models.channel import ChannelError, Reply, bound_answers, read_bounded
from contract.models.endpoint import EndpointModel, make_codec
from contract.models.libraries import require
from contract.models.policy import Policy

_THROTTLED = ("ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded")


class SageMakerChannel:
    """Requests to one SageMaker endpoint.

    Parameters
    ----------
    name
        Of the endpoint.
    options
        Further arguments of ``invoke_endpoint``.
    policy
        For the time limit and the number of connections.
    """

    def __init__(self, name: str, options: dict[str, str], policy: Policy) -> None:
        self.where = f"SageMaker endpoint {name}"
        self._options = {"EndpointName": name, **options}
        self._policy = policy
        self._client: Any = None
        self._lock = threading.Lock()

    def send(self, body: bytes) -> Reply:
        """Send one request, see `Channel.send`."""
        from botocore import exceptions

        client = self._connected()
        try:
            answer = client.invoke_endpoint(Body=body, **self._options)
            deadline = time.monotonic() + self._policy.timeout
            with contextlib.closing(answer["Body"]) as stream:
                return Reply(200, read_bounded(stream.read, deadline))
        except exceptions.ClientError as error:
            return _refusal(error.response)
        except (TimeoutError, exceptions.ReadTimeoutError, exceptions.ConnectTimeoutError) as error:
            raise ChannelError("slow", f"no answer within {self._policy.timeout:g} s") from error
        except (exceptions.ConnectionClosedError, exceptions.IncompleteReadError) as error:
            raise ChannelError("broken", "the connection closed before the answer was complete") from error
        except exceptions.HTTPClientError as error:
            raise ChannelError("unreachable", " ".join(str(error).split())[:200]) from error
        except exceptions.BotoCoreError as error:
            raise self._unusable(error) from error

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def _connected(self) -> Any:
        # boto3 makes clients one at a time; a client may be used by all threads.
        with self._lock:
            if self._client is None:
                boto3 = require("boto3", "boto3", self.where)
                from botocore.config import Config
                from botocore.exceptions import BotoCoreError

                config = Config(
                    retries={"total_max_attempts": 1},
                    connect_timeout=self._policy.timeout,
                    read_timeout=self._policy.timeout,
                    max_pool_connections=self._policy.concurrency,
                )
                try:
                    client = aws_session(boto3).client("sagemaker-runtime", config=config)
                    self._client = bound_answers(client, self._policy.timeout)
                except BotoCoreError as error:
                    raise self._unusable(error) from error
            return self._client

    def _unusable(self, error: Exception) -> ModelError:
        reason = " ".join(str(error).split()).rstrip(".")[:300]
        return ModelError(
            f"{self.where} cannot be asked: {reason}; give the job a region (AWS_REGION) and credentials, or "
            "AWS_ENDPOINT_URL for another server."
        )


def aws_session(boto3: Any) -> Any:
    """Return boto3's session; the region is ``AWS_REGION``'s, which boto3 leaves to other libraries."""
    return boto3.session.Session(region_name=os.environ.get("AWS_REGION"))


def open_sagemaker(
    predictor: PredictorConfig, policy: Policy, progress: Progress | None = None
) -> EndpointModel:
    """Return the model behind ``predictor.endpoint_name``, of several behind one endpoint its `target_model`.

    Raises
    ------
    ModelError
        When boto3 is missing, or finds no region or credentials.
    ConfigurationError
        When the predictor's templates or locations are at fault.
    """
    codec = make_codec(predictor)
    options = {"ContentType": codec.content_type, "Accept": codec.accept_type}
    if predictor.custom_attributes is not None:
        options["CustomAttributes"] = predictor.custom_attributes
    if predictor.target_model is not None:
        options["TargetModel"] = predictor.target_model
    channel = SageMakerChannel(str(predictor.endpoint_name), options, policy)
    require("boto3", "boto3", channel.where)
    return EndpointModel((open_sagemaker, (predictor, policy)), channel, codec, predictor, policy, progress)


def _refusal(response: dict[str, Any]) -> Reply:
    """Return what the service, or the model behind it, answered."""
    metadata = response.get("ResponseMetadata", {})
    error = response.get("Error", {})
    status = int(metadata.get("HTTPStatusCode", 500))
    if error.get("Code") in _THROTTLED:
        status = 429
    elif error.get("Code") == "ModelError":
        status = int(response.get("OriginalStatusCode") or 500)
    elif error.get("Code") == "ValidationError" and "not found" in str(error.get("Message")).lower():
        status = 404
    text = str(response.get("OriginalMessage") or error.get("Message") or error.get("Code") or "")
    after = str(metadata.get("HTTPHeaders", {}).get("retry-after", ""))
    return Reply(status, text.encode(), float(after) if after.isdigit() else None)
