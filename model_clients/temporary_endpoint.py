"""A SageMaker endpoint that lives as long as the job, started for ``predictor.model_name``.

Clarify calls it a shadow endpoint. Only the process that opens the model owns it: a copy on another host
asks the endpoint by its name, and deletes nothing.
"""

import functools
import itertools
import logging
import re
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

import pyarrow as pa
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NotConnected

import contract
from contract.analysis_config import PredictorConfig
from contract.errors import ConfigurationError, ModelError, wording
from contract.outcome import NotTriedError
from contract.schema import nearest
from contract.wording import one_line
from file_storage.cleanup import IsUrged, at_end, signals_held_back
from file_storage.transport import aws_client, refused
from model_clients.codec import make_codec
from model_clients.endpoints import Progress, open_sagemaker
from model_clients.model import Model, Policy

# Why SageMaker starts no endpoint, in one sentence with the fix.


_DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized")
_LIMITED = ("ResourceLimitExceeded", "LimitExceededException", "ServiceQuotaExceededException")
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
    model, kind = predictor.model_name or "", predictor.instance_type or ""
    code, text, _ = refused(error)
    if not code:
        return ModelError.of("temporary_endpoint.no_service", model=model, problem=one_line(error))
    if code in _DENIED:
        found = re.search(r"perform: (\w+:\w+)", text)
        lacking = found[1] if found else "permissions"
        return ModelError.of("temporary_endpoint.denied", model=model, lacking=lacking)
    if code in _LIMITED:
        return ModelError.of("temporary_endpoint.quota", model=model, problem=text)
    region = client.meta.region_name
    if "could not find model" in text.lower():
        hint = _meant(model, _names_of_models(client))
        return ModelError.of("temporary_endpoint.no_model", model=model, region=region, hint=hint)
    if "instancetype" in text.lower():
        hint = _meant(kind, client.meta.service_model.shape_for("ProductionVariantInstanceType").enum)
        return ModelError.of("temporary_endpoint.instance_type", kind=kind, region=region, hint=hint)
    return ModelError.of("temporary_endpoint.refused", model=model, problem=f"{code}: {text}")


def is_passing(error: Exception) -> bool:
    """Return whether another attempt may go through: out of reach, or the service is busy or broken."""
    return isinstance(error, NotConnected) or refused(error)[2] == 429 or may_have_worked(error)


def may_have_worked(error: Exception) -> bool:
    """Return whether a request may have been served although its answer does not say so."""
    return isinstance(error, HTTPClientError) or refused(error)[2] >= 500


def _names_of_models(client: Any) -> list[str]:
    pages = client.get_paginator("list_models").paginate(PaginationConfig={"PageSize": 100})
    try:
        first = itertools.islice(pages, _PAGES_OF_NAMES)
        return [model["ModelName"] for page in first for model in page.get("Models", ())]
    except (BotoCoreError, ClientError):
        return []  # jobs need no permission to list them


def _meant(name: str, names: Iterable[str]) -> str:
    close = nearest(name, names)
    return f" (did you mean {close}?)" if close else ""


PREFIX = "sm-clarify"
VARIANT = "AllTraffic"
_LONGEST_NAME = 63
_PASSING = ("Creating", "Updating", "SystemUpdating")
_REPORT_SECONDS = 30.0
_FIRST_PAUSE, _LONGEST_PAUSE = 2.0, 15.0
# SageMaker deletes no endpoint that it is still creating, which takes it 25 minutes when the model is faulty.
_DELETION_SECONDS = 1800.0
_DELETION_PAUSE = 5.0
_OUTAGE_SECONDS = 60.0

_log = logging.getLogger(__name__)


def open_shadow(predictor: PredictorConfig, policy: Policy, progress: Progress | None, start: bool) -> Model:
    """Start an endpoint for ``predictor.model_name``, wait until it is in service, and return the model.

    Closing the model deletes endpoint and endpoint configuration; so does the end of the job at the latest.

    Parameters
    ----------
    predictor
        Names the model, the instances, and the shape of requests.
    policy
        How long the start may take, and how the endpoint is asked.
    progress
        See `EndpointModel`.
    start
        False for a model that is not to be asked: nothing is started, and a try to ask it looks whether
        there is such a model.

    Raises
    ------
    ConfigurationError
        When the predictor's members do not fit together.
    ModelError
        When the endpoint cannot be started or does not come into service; what was started is deleted.
    """
    if predictor.instance_type is None:
        told = {"name": predictor.model_name, "field": "predictor.instance_type"}
        raise ConfigurationError.of("temporary_endpoint.no_instance_type", **told)
    name, config_name = _names(predictor)
    asked = replace(predictor, endpoint_name=name, model_name=None)
    make_codec(asked)  # mistakes in the shape of requests show before anything is started
    if not start:
        return ModelToStart(predictor)
    shadow = _Shadow(connect(predictor), predictor, name, config_name)
    delete = at_end(shadow.delete)
    try:
        shadow.create()
        shadow.wait(policy.start_limit)
        model = open_sagemaker(asked, policy, progress)
    except BaseException:
        delete()
        raise
    model.at_close = delete
    return model


class ModelToStart:
    """A model whose endpoint a dry run leaves unstarted; to ask it is to look whether it exists."""

    only_labels = False

    def __init__(self, predictor: PredictorConfig) -> None:
        self._predictor = predictor
        self.where = f"SageMaker model {predictor.model_name}"

    def predict(self, table: pa.RecordBatch) -> NoReturn:
        """Raise ModelError when there is no such model, else NotTriedError. See `Model.predict`."""
        raise NotTriedError(self._found, _to_come(self._predictor))

    predict_labels = predict

    def close(self) -> None:
        """Do nothing."""

    @functools.cached_property
    def _found(self) -> str | None:
        """Return a line on the model that was found, None when nobody may tell."""
        client = connect(self._predictor)
        try:
            client.describe_model(ModelName=self._predictor.model_name)
        except (BotoCoreError, ClientError) as error:
            if refused(error)[0] in _DENIED:  # the job itself does not need to
                return None
            raise refusal(error, client, self._predictor) from error
        finally:
            client.close()
        return f"predictor.model_name {self._predictor.model_name} is a SageMaker model of this account"


def connect(predictor: PredictorConfig) -> Any:
    """Return boto3's client of the service that starts and deletes endpoints.

    Raises
    ------
    ModelError
        When boto3 is missing, or there is no region.
    """
    retries = {"mode": "standard", "total_max_attempts": 4}
    try:
        return aws_client("sagemaker", 60.0, retries=retries, connect_timeout=5.0, read_timeout=30.0)
    except BotoCoreError as error:
        raise refusal(error, None, predictor) from error


@dataclass
class _Shadow:
    """An endpoint and its configuration: those of `left` exist, or may exist, and are to be deleted."""

    client: Any
    predictor: PredictorConfig
    name: str
    config_name: str
    left: set[str] = field(default_factory=set)

    @property
    def where(self) -> str:
        return f"SageMaker endpoint {self.name}"

    def create(self) -> None:
        """Have SageMaker create both. A signal waits until it is known whether they are there."""
        _log.info("Starting %s: %s", self.where, _to_come(self.predictor))
        with signals_held_back():
            config = {"EndpointConfigName": self.config_name}
            variant = {
                "VariantName": VARIANT,
                "ModelName": self.predictor.model_name,
                "InstanceType": self.predictor.instance_type,
                "InitialInstanceCount": self.predictor.initial_instance_count or 1,
                "InitialVariantWeight": 1.0,
            }
            if self.predictor.accelerator_type:
                variant["AcceleratorType"] = self.predictor.accelerator_type
            self._create("create_endpoint_config", "configuration", **config, ProductionVariants=[variant])
            self._create("create_endpoint", "endpoint", EndpointName=self.name, **config)

    def _create(self, operation: str, part: str, **arguments: Any) -> None:
        call = getattr(self.client, operation)
        self.left.add(part)
        try:
            try:
                call(**arguments, Tags=_tags(self.predictor))
            except ClientError as error:
                if "AddTags" not in str(error):
                    raise
                _log.info("%s gets no tags, which this job may not give", self.where)
                call(**arguments)
        except (BotoCoreError, ClientError) as error:
            # The name is taken by nobody else: the first of two attempts went through unnoticed.
            if "already exist" in str(error).lower():
                return
            if not may_have_worked(error):
                self.left.discard(part)
            raise refusal(error, self.client, self.predictor) from error

    def wait(self, limit: float) -> None:
        """Wait until the endpoint is in service, at most `limit` seconds, and say now and then how it stands.

        Raises
        ------
        ModelError
            With the service's reason when it comes to nothing.
        """
        started = reported = time.monotonic()
        pause = _FIRST_PAUSE
        while True:
            status, reason = self._status()
            waited = time.monotonic() - started
            if status == "InService":
                _log.info("%s is in service after %.0f s", self.where, waited)
                return
            told = {"endpoint": self.where, "model": self.predictor.model_name, "status": status}
            if status not in _PASSING:
                raise ModelError.of(
                    "temporary_endpoint.failed", **told, seconds=waited, reason=reason, name=self.name
                )
            if time.monotonic() - reported >= _REPORT_SECONDS:
                reported = time.monotonic()
                _log.info("%s is %s after %.0f s", self.where, status, waited)
            if waited >= limit:
                raise ModelError.of("temporary_endpoint.too_slow", **told, seconds=waited)
            time.sleep(min(pause, max(0.0, limit - waited)))
            pause = min(1.5 * pause, _LONGEST_PAUSE)

    def _status(self) -> tuple[str, str]:
        """Return the endpoint's status, and the reason for it where there is one."""
        try:
            found = self.client.describe_endpoint(EndpointName=self.name)
        except (BotoCoreError, ClientError) as error:
            if is_passing(error):
                _log.info("%s: no answer about its status: %s", self.where, one_line(error))
                return "Creating", ""
            raise refusal(error, self.client, self.predictor) from error
        reason = one_line(found.get("FailureReason") or "SageMaker gives no reason")
        return str(found["EndpointStatus"]), reason

    def delete(self, is_urged: IsUrged) -> None:
        """Delete what is left; what cannot be deleted is told, and costs the job nothing else."""
        try:
            # While an endpoint is being created it needs its configuration: without it, it gets stuck.
            is_gone = "endpoint" not in self.left or self._delete_endpoint(is_urged)
            if is_gone and "configuration" in self.left:
                error = self._attempt("delete_endpoint_config", EndpointConfigName=self.config_name)
                if error is not None:
                    text = "Endpoint configuration %s, which costs nothing, could not be deleted: %s"
                    _log.warning(text, self.config_name, one_line(error))
        finally:
            self.client.close()

    def _delete_endpoint(self, is_urged: IsUrged) -> bool:
        started, is_told = time.monotonic(), False
        names = {"name": self.name, "config": self.config_name, "region": self.client.meta.region_name}
        told = {"endpoint": self.where, "command": wording("temporary_endpoint.by_hand", **names)}
        while (error := self._attempt("delete_endpoint", EndpointName=self.name)) is not None:
            is_created = "in-progress" in str(error)
            if is_created and not is_told:
                is_told = True
                _log.warning("%s", wording("temporary_endpoint.still_created", **told, pause=_DELETION_PAUSE))
            patience = _DELETION_SECONDS if is_created else _OUTAGE_SECONDS
            is_over = time.monotonic() - started >= patience
            if is_urged() or is_over or not (is_created or is_passing(error)):
                _log.warning("%s", wording("temporary_endpoint.left", **told, problem=one_line(error)))
                return False
            time.sleep(_DELETION_PAUSE)
        _log.info("Deleted %s", self.where)
        return True

    def _attempt(self, operation: str, **arguments: str) -> Exception | None:
        """Return what stands in the way of deleting something, None when it is gone."""
        try:
            getattr(self.client, operation)(**arguments)
        except (BotoCoreError, ClientError) as error:
            return None if "could not find" in str(error).lower() else error
        return None


def _names(predictor: PredictorConfig) -> tuple[str, str]:
    """Return unique names of endpoint and configuration, which begin with the prefix as Clarify's do."""
    prefix = predictor.endpoint_name_prefix or PREFIX
    end = f"{time.strftime('%Y%m%d%H%M%S', time.gmtime())}-{secrets.token_hex(4)}"
    room = _LONGEST_NAME - len(prefix) - len(end) - 2
    model = re.sub(r"[^a-zA-Z0-9-]", "-", predictor.model_name or "")[:room].strip("-")
    return f"{prefix}-{model}-{end}", f"{prefix}-config-{end}"


def _tags(predictor: PredictorConfig) -> list[dict[str, str]]:
    tags = {
        "created-by": f"model-monitor-containers {contract.__version__}",
        "created-for": f"one job on model {predictor.model_name}",
        "deleted-by": "that job at its end",
    }
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _to_come(predictor: PredictorConfig) -> str:
    told = {"model": predictor.model_name, "kind": predictor.instance_type}
    return wording("temporary_endpoint.to_come", **told, count=predictor.initial_instance_count or 1)
