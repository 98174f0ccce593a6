"""Choosing the kind of a model from its address, the name of its file, or the configuration."""

from __future__ import annotations

from contract.analysis_config import PredictorConfig
from contract.errors import ConfigurationError
from file_storage.transport import require_url
from model_clients.batching import Progress
from model_clients.model import Model, Policy, require


def open_model(
    location: str | None,
    predictor: PredictorConfig | None = None,
    *,
    policy: Policy | None = None,
    allow_pickled_model: bool = False,
    progress: Progress | None = None,
    start: bool = True,
) -> Model:
    """Return the model to ask.

    Parameters
    ----------
    location
        An endpoint (``http://host:port/invocations``), a model of the Open Inference Protocol
        (``http://host/v2/models/NAME``), or a file, local or on S3: ``.onnx``, XGBoost's ``.json`` or
        ``.ubj``, LightGBM's ``.txt``, ``.tar.gz`` with one of them or an ``inference.py``. None for the
        SageMaker endpoint that the predictor names, or one of the job's own for the model it names.
    predictor
        The shape of requests and answers.
    policy
        How much is asked at once, how long, how often.
    allow_pickled_model
        Whether a pickled model may be loaded: whoever made the file then runs code in this job.
    progress
        Called with the rows answered and the rows in all, while an endpoint is asked.
    start
        Whether an endpoint may be started for ``predictor.model_name``; where not, it cannot be asked.

    Raises
    ------
    ConfigurationError
        When it is not said which model, or the predictor's members do not fit together.
    ModelError
        When the model cannot be reached or loaded.
    """
    predictor = predictor or PredictorConfig()
    policy = policy or Policy()
    if location is None and predictor.endpoint_name:
        from model_clients.endpoints import open_sagemaker

        return open_sagemaker(predictor, policy, progress)
    if location is None and predictor.model_name:
        require("boto3", "boto3", f"the endpoint for predictor.model_name {predictor.model_name!r}")
        from model_clients.temporary_endpoint import open_shadow

        return open_shadow(predictor, policy, progress, start=start)
    if location is None:
        raise ConfigurationError.of("model_address.none", field="model")
    if location.startswith(("http://", "https://")):
        from model_clients.endpoints import INVOCATIONS, open_http, open_inference

        parts = require_url(location)
        if "/v2/models/" in parts.path:
            return open_inference(location, predictor, policy, progress)
        if parts.path in ("", "/"):
            location = parts._replace(path=INVOCATIONS).geturl()
        return open_http(location, predictor, policy, progress)
    if "://" in location and not location.startswith("s3://"):
        raise ConfigurationError.of("model_address.scheme", location=location)
    from model_clients.files import open_file

    return open_file(location, predictor, policy, allow_pickled_model)
