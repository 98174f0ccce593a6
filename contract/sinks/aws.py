"""One call of an AWS service through boto3: region, credentials and endpoint by its standard chain."""

from __future__ import annotations

import importlib.util
import os
import threading
from typing import Any

from contract.errors import ConfigurationError
from contract.models.channel import bound_answers
from contract.sinks.delivery import NotDeliveredError

_BUSY = ("Throttling", "TooManyRequests", "RequestLimitExceeded", "ServiceUnavailable", "Internal")
# boto3 makes clients one at a time.
_making = threading.Lock()


def require_boto3(shown: str) -> None:
    """Make sure that boto3 is there, without loading it.

    Raises
    ------
    ConfigurationError
        Naming the sink that needs it, and ways to do without.
    """
    if importlib.util.find_spec("boto3") is None:
        raise ConfigurationError(
            f"{shown} needs boto3, which is not installed here; use the feature-attribution image or install "
            "model-monitor-containers[aws], or take a sink that needs none (publish_cloudwatch_metrics "
            "writes files, events+https:// goes to any HTTP server)."
        )


def call(service: str, operation: str, arguments: dict[str, Any], timeout: float) -> dict[str, Any]:
    """Call one operation once.

    Parameters
    ----------
    service, operation
        As boto3 names them, such as ``cloudwatch`` and ``put_metric_data``.

    Raises
    ------
    NotDeliveredError
        When there is no answer, or a refusal.
    """
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

    # Attempts are counted by whoever calls.
    config = Config(retries={"total_max_attempts": 1}, connect_timeout=timeout, read_timeout=timeout)
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    try:
        with _making:
            client = bound_answers(
                boto3.session.Session(region_name=region).client(service, config=config), timeout
            )
        try:
            answer: dict[str, Any] = getattr(client, operation)(**arguments)
        finally:
            client.close()
    except ClientError as error:
        raise _refusal(error.response) from error
    except HTTPClientError as error:
        raise NotDeliveredError(_one_line(error), again=True) from error
    except BotoCoreError as error:  # no region, no credentials, or arguments that the service does not know
        raise NotDeliveredError(_one_line(error), again=False) from error
    return answer


def _refusal(response: dict[str, Any]) -> NotDeliveredError:
    error = response.get("Error", {})
    code = str(error.get("Code") or "")
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500))
    again = status >= 500 or status == 429 or code.startswith(_BUSY)
    return NotDeliveredError(f"{code}: {_one_line(error.get('Message', ''))}", again=again)


def _one_line(text: object) -> str:
    return " ".join(str(text).split()).rstrip(".")[:300]
