"""Why SageMaker starts no endpoint, in one sentence with the fix."""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterable
from typing import Any

from contract.analysis_config.members import PredictorConfig
from contract.errors import ModelError

CHEAPER = "set model to a model file or the address of a model server, which starts nothing"

_DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized")
_LIMITED = ("ResourceLimitExceeded", "LimitExceededException", "ServiceQuotaExceededException")
_BUSY = ("Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded")
_PAGES_OF_NAMES = 5


def refusal(error: Exception, client: Any, predictor: PredictorConfig) -> ModelError:
    """Return the error that a job ends with.

    Parameters
    ----------
    error
        What botocore raised.
    client
        Of the service ``sagemaker``.
    predictor
        Names the model and the instances.
    """
    what = f"no endpoint can be started for predictor.model_name {predictor.model_name!r}"
    code, text = code_of(error), one_line(_answer(error).get("Message", ""))
    if not code:
        return ModelError(
            f"{what}: {one_line(error)}; give the job a region (AWS_REGION), credentials and a network that "
            f"reaches SageMaker, or {CHEAPER}."
        )
    if code in _DENIED:
        found = re.search(r"perform: (\w+:\w+)", text)
        action = found[1] if found else "permissions"
        return ModelError(
            f"{what}: the role of this job lacks {action}; allow it what docs/models.md lists, or {CHEAPER}."
        )
    if code in _LIMITED:
        return ModelError(
            f"{what}: {text}; ask for a larger quota, choose another predictor.instance_type, or {CHEAPER}."
        )
    if "could not find model" in text.lower():
        return unknown_model(client, predictor)
    if "instancetype" in text.lower():
        kind = predictor.instance_type or ""
        hint = _meant(kind, client.meta.service_model.shape_for("ProductionVariantInstanceType").enum)
        return ModelError(
            f"predictor.instance_type {kind!r} is refused by SageMaker in {client.meta.region_name}{hint}; "
            f"name an instance type for endpoints such as ml.m5.large, or {CHEAPER}."
        )
    return ModelError(f"{what}: {code}: {text}; mend the predictor, or {CHEAPER}.")


def unknown_model(client: Any, predictor: PredictorConfig) -> ModelError:
    """Return the error for a model that is not there, with a name near to it if names may be listed."""
    name = predictor.model_name or ""
    hint = _meant(name, _names_of_models(client))
    return ModelError(
        f"predictor.model_name {name!r} is none of this account's SageMaker models in "
        f"{client.meta.region_name}{hint}; name one of them (aws sagemaker list-models), or {CHEAPER}."
    )


def is_denied(error: Exception) -> bool:
    """Return whether permissions are missing."""
    return code_of(error) in _DENIED


def is_passing(error: Exception) -> bool:
    """Return whether another attempt may go through: out of reach, or the service is busy or broken."""
    from botocore.exceptions import ConnectionError as NotConnected

    return isinstance(error, NotConnected) or code_of(error) in _BUSY or may_have_worked(error)


def may_have_worked(error: Exception) -> bool:
    """Return whether a request may have been served although its answer does not say so."""
    from botocore.exceptions import ClientError, HTTPClientError

    if isinstance(error, ClientError):
        return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)) >= 500
    return isinstance(error, HTTPClientError)


def code_of(error: Exception) -> str:
    """Return the service's code for a refusal, empty when there was no answer."""
    return str(_answer(error).get("Code") or "")


def one_line(text: object) -> str:
    """Return a service's text as a clause of a sentence."""
    return " ".join(str(text).split()).rstrip(".")[:300]


def _answer(error: Exception) -> dict[str, Any]:
    from botocore.exceptions import ClientError

    return dict(error.response.get("Error", {})) if isinstance(error, ClientError) else {}


def _names_of_models(client: Any) -> list[str]:
    from botocore.exceptions import BotoCoreError, ClientError

    pages = client.get_paginator("list_models").paginate(PaginationConfig={"PageSize": 100})
    try:
        return [
            model["ModelName"]
            for page in itertools.islice(pages, _PAGES_OF_NAMES)
            for model in page.get("Models", ())
        ]
    except (BotoCoreError, ClientError):
        return []  # jobs need no permission to list them


def _meant(name: str, names: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(names), 1)
    return f" (did you mean {close[0]}?)" if close else ""
