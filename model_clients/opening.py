"""Opening a model: an endpoint by its address, a file by its first bytes, for ONNX by its name."""

import contextlib
import inspect
import io
import json
import logging
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from packaging.requirements import InvalidRequirement, Requirement

from contract.analysis_config import PredictorConfig
from contract.errors import ConfigurationError, ModelError, wording
from contract.wording import one_line
from file_storage import storage
from file_storage.scripts import archives, call_script, load_module
from file_storage.transport import Reply, require_url
from model_clients import endpoints, local
from model_clients.codec import Codec, make_codec
from model_clients.endpoints import Progress
from model_clients.model import Model, Policy, require

_log = logging.getLogger(__name__)


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
        return endpoints.open_sagemaker(predictor, policy, progress)
    if location is None and predictor.model_name:
        require("boto3", "boto3", f"the endpoint for predictor.model_name {predictor.model_name!r}")
        from model_clients.temporary_endpoint import open_shadow

        return open_shadow(predictor, policy, progress, start)
    if location is None:
        raise ConfigurationError.of("model_address.none", field="model")
    if location.startswith(("http://", "https://")):
        parts = require_url(location)
        if "/v2/models/" in parts.path:
            return endpoints.open_inference(location, predictor, policy, progress)
        if parts.path in ("", "/"):
            location = parts._replace(path=endpoints.INVOCATIONS).geturl()
        return endpoints.open_http(location, predictor, policy, progress)
    if "://" in location and not location.startswith("s3://"):
        raise ConfigurationError.of("model_address.scheme", location=location)
    if not location.startswith("s3://") and not Path(location).is_file():
        raise ModelError.of("model.no_file", file=location, hint=storage.nearby(location))
    return open_file(location, predictor, policy, allow_pickled_model)


# A user's ``inference.py`` with the functions of the SageMaker inference toolkit, run in this process.
#
# ``model_fn(model_dir)`` loads the model. A request goes through ``input_fn(body, content_type)``,
# ``predict_fn(data, model)`` and ``output_fn(prediction, accept)``, or through
# ``transform_fn(model, body, content_type, accept)`` in their place. By default `input_fn` makes an array
# of CSV or JSON, `predict_fn` calls ``model.predict``, and `output_fn` writes CSV, JSON or JSON Lines. Every
# function may take the toolkit's context as an additional last parameter; it is None here.


_TEXTS = ("text/csv", "application/json")

Answer = Callable[[bytes], bytes]


@dataclass
class _ScriptChannel:
    """Requests answered by functions in this process."""

    where: str
    answer: Answer

    def send(self, body: bytes) -> Reply:
        return Reply(200, self.answer(body))

    def close(self) -> None:
        """Do nothing."""


def _handler(module: ModuleType, name: str, folder: Path, codec: Codec) -> tuple[Answer, list[str]]:
    """Return what answers a request, and the names of the features that the loaded model knows."""
    names = ("model_fn", "input_fn", "predict_fn", "output_fn", "transform_fn")
    load, read, ask, write, transform = (getattr(module, name, None) for name in names)
    if load is None:
        raise ModelError.of("inference_script.no_model_fn", file=name)
    if transform and (read or ask or write):
        raise ModelError.of("inference_script.two_ways", file=name)
    script, content_type, accept = str(module.__file__), codec.content_type, codec.accept_type

    def call(function: Any, *arguments: Any) -> Any:
        return call_script(script, function.__name__, _call, function, *arguments)

    model = call(load, str(folder))

    def answer(body: bytes) -> bytes:
        sent = body.decode() if content_type in _TEXTS else body
        if transform:
            result = call(transform, model, sent, content_type, accept)
        else:
            data = call(read or _decode, sent, content_type)
            result = call(write or _encode, call(ask or _predict, data, model), accept)
        if isinstance(result, tuple):
            result = result[0]  # the second part is the content type
        if isinstance(result, str):
            return result.encode()
        if isinstance(result, bytes | bytearray | memoryview):
            return bytes(result)
        return _encode(result, accept).encode()

    members = ("feature_names_in_", "feature_names", "feature_names_", "feature_name")
    known = next((found for each in members if (found := getattr(model, each, None)) is not None), None)
    known = known() if callable(known) else known
    return answer, [str(one) for one in known] if isinstance(known, list | tuple | np.ndarray) else []


def _call(function: Any, *arguments: Any) -> Any:
    parameters = inspect.signature(function).parameters.values()
    takes_any = any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters)
    takes_context = len(parameters) == len(arguments) + 1 and not takes_any
    return function(*arguments, None) if takes_context else function(*arguments)


def _decode(body: str | bytes, content_type: str) -> NDArray[Any]:
    if content_type == "text/csv":
        return np.genfromtxt(io.StringIO(str(body)), delimiter=",", ndmin=2)
    if content_type == "application/json":
        return np.array(json.loads(body))
    raise ModelError.of("inference_script.no_input_fn", content_type=content_type)


def _predict(data: Any, model: Any) -> Any:
    if type(model).__module__.startswith("xgboost") and type(model).__name__ == "Booster":
        return model.inplace_predict(data)
    return model.predict(data)


def _encode(prediction: Any, accept: str) -> str:
    values = prediction.tolist() if hasattr(prediction, "tolist") else prediction
    may_be_object = accept == "application/json" and isinstance(values, dict | float | int)
    if not may_be_object and not isinstance(values, list | tuple):
        raise ModelError.of("inference_script.answer", kind=type(values).__name__, accept=accept)
    if accept == "text/csv":
        rows = [row if isinstance(row, list | tuple) else [row] for row in values]
        return "\n".join(",".join(str(value) for value in row) for row in rows)
    if accept == "application/json":
        return json.dumps(values)
    return "\n".join(json.dumps(value) for value in values)


# ``model.tar.gz``: unpacked with care, then the ``inference.py`` or the one model file in it.
#
# An ``inference.py`` is the user's own program and is run, as on an endpoint; model files are only read.


MOST_BYTES = 8_000_000_000
MOST_MEMBERS = 20_000
# Names and further headers of a member; tarfile holds them in memory.
MOST_HEADER_BYTES = 1 << 20
_HEADERS = (
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
)
_SCRIPTS = ("code/inference.py", "inference.py")
_REQUIREMENTS = ("code/requirements.txt", "requirements.txt")
_MOST_REQUIREMENTS = 1_000
_NAMED_HERE = {"xgboost": "xgboost-cpu"}
_NAMES = ("xgboost-model", "model_algo-1")
_ENDINGS = (".onnx", ".json", ".ubj", ".xgb", ".bst", ".txt", ".cbm", ".pkl", ".pickle", ".joblib")


def open_archive(
    path: str, predictor: PredictorConfig, policy: Policy, allow_pickled_model: bool
) -> local.LocalModel | endpoints.EndpointModel:
    """Return the model of a (compressed) tar archive, local or on S3.

    Raises
    ------
    ModelError
        When it cannot be unpacked, holds paths that lead out of it or more than 8 GB, or holds no model or
        several, or its script does not define the functions.
    ScriptError
        When its script cannot be loaded, or its ``model_fn`` fails.
    """
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(storage.scratch_folder("model-", f"unpacking {path}"))
        archives[str(folder)] = path
        unpack(path, folder)
        script = next((folder / name for name in _SCRIPTS if (folder / name).is_file()), None)
        for name in _REQUIREMENTS:
            if packages := [*_lacking(folder / name)]:
                told = {"file": path, "field": name, "packages": "; ".join(packages)}
                _log.warning("%s", wording("model_archive.requirements", **told))
        if script is None:
            file = _model_file(folder, path)
            where = f"{path}:{file.relative_to(folder)}"
            return open_single(str(file), where, predictor, policy, allow_pickled_model)
        codec, name = make_codec(predictor), f"{path}:{script.relative_to(folder)}"
        answer, names = _handler(load_module(str(script)), name, folder, codec)
        # Its functions were written for one request at a time.
        policy = replace(policy, concurrency=1)
        model = endpoints.EndpointModel(_ScriptChannel(name, answer), codec, predictor, policy, names=names)
        model.at_close = stack.pop_all().close
        return model


def _lacking(requirements: Path) -> Iterator[str]:
    """Return what a file of requirements asks for that is not installed, or in another version."""
    lines = requirements.read_text("utf-8", "replace").splitlines() if requirements.is_file() else []
    for line in lines[:_MOST_REQUIREMENTS]:
        try:
            wanted = Requirement(line.partition("#")[0])
            if wanted.marker is None or wanted.marker.evaluate():
                found = metadata.version(_NAMED_HERE.get(wanted.name.lower(), wanted.name))
                if not wanted.specifier.contains(found, prereleases=True):
                    yield f"{wanted} ({found} is installed)"
        except InvalidRequirement:
            continue  # an empty line, an option of pip, or a file
        except metadata.PackageNotFoundError:
            yield f"{wanted} (not installed)"


def unpack(path: str, folder: Path) -> None:
    """Unpack an archive into a folder; only plain files and folders, within it and within limits.

    Raises
    ------
    ModelError
        Naming the archive and the member at fault.
    """
    size, damage = 0, (tarfile.TarError, OSError, EOFError)
    shortened: dict[str, Any] = {"file": path, "problem": lambda error: one_line(error, 200)}
    shortened["member"] = lambda error: str(error)[:200]
    with (
        ModelError.instead_of("model_archive.damaged", *damage, **shortened),
        ModelError.instead_of("model_archive.leads_out", tarfile.FilterError, **shortened),
        storage.open_input(path, ModelError) as stream,
        tarfile.open(fileobj=stream, mode="r|", tarinfo=_Member) as archive,
    ):
        for number, member in enumerate(archive):
            size += max(0, member.size)
            if number >= MOST_MEMBERS or size > MOST_BYTES:
                raise ModelError.of("model_archive.too_large", file=path, size=MOST_BYTES, files=MOST_MEMBERS)
            if member.isfile() or member.isdir():
                archive.extract(member, folder, filter="data")


class _Member(tarfile.TarInfo):
    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        member = super().frombuf(buf, encoding, errors)
        if member.type in _HEADERS and not 0 <= member.size <= MOST_HEADER_BYTES:
            raise tarfile.ReadError(f"a header claims {member.size:,} bytes")
        return member

    def _proc_gnusparse_10(self, *_: Any) -> None:
        raise tarfile.ReadError("it has holes")  # the list of which tarfile would hold in memory


def _is_model(file: Path) -> bool:
    """Return whether a file may be a model; notes and settings have the same endings as some."""
    with file.open("rb") as stream:
        begin = stream.read(200)
    return {".json": b'"learner"' in begin, ".txt": begin.startswith(b"tree")}.get(file.suffix, True)


def _model_file(folder: Path, path: str) -> Path:
    files = sorted(file for file in folder.rglob("*") if file.is_file() and not file.name.startswith("."))
    models = [file for file in files if file.name in _NAMES or (file.suffix in _ENDINGS and _is_model(file))]
    if len(models) == 1:
        return models[0]
    shown = ", ".join(str(file.relative_to(folder)) for file in (models or files)[:8])
    problem = f"holds several model files ({shown})" if models else f"holds no model ({shown or 'nothing'})"
    raise ModelError.of("model_archive.models", file=path, problem=problem)


_PICKLE = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_PICKLE_NAMES = (".pkl", ".pickle", ".joblib")
_TAR_NAMES = (".tar.gz", ".tgz", ".tar")


def open_file(path: str, predictor: PredictorConfig, policy: Policy, allow_pickled_model: bool) -> Model:
    """Return the model of a file.

    Parameters
    ----------
    path
        Local or on S3.
    predictor
        The shape of requests and answers, for an ``inference.py``; which outputs to take, for ONNX; names of
        classes.
    policy
        For the number of threads.
    allow_pickled_model
        Whether a pickled model may be loaded, which runs code that its maker chose.

    Raises
    ------
    ModelError
        When the file cannot be read, is damaged, or is of no known kind.
    """
    arguments = (path, predictor, policy, allow_pickled_model)
    model = open_archive(*arguments) if path.endswith(_TAR_NAMES) else open_single(path, *arguments)
    model.reopen = (open_file, arguments)
    return model


def open_single(
    path: str, where: str, predictor: PredictorConfig, policy: Policy, allow_pickled_model: bool
) -> local.LocalModel:
    """Return the model of a file that is no archive, called `where` in messages."""
    content = storage.read_bytes(path, ModelError)
    if path.endswith(".onnx"):
        # By its path, so that weights in files beside it are found.
        source = content if storage.is_s3(path) else path
        model = local.open_onnx(source, where, predictor, policy.threads)
    elif path.endswith(_PICKLE_NAMES) or content.startswith(_PICKLE):
        model = local.open_pickled(content, where, allow_pickled_model)
    elif content.startswith(b"{"):
        model = local.open_xgboost(content, where, policy.threads)
    elif content.startswith((b"tree\n", b"tree\r\n")):
        model = local.open_lightgbm(content, where, policy.threads)
    elif content.startswith(b"PK\x03\x04"):
        model = local.open_linear_learner(content, where)
    elif content.startswith(b"binf"):
        raise ModelError.of("model_file.old_xgboost", file=where)
    elif content.startswith(b"CBM1"):
        model = local.open_catboost(content, where, policy.threads)
    else:
        begin = repr(content[:20]) if content else "nothing: it is empty"
        raise ModelError.of("model_file.unknown", file=where, begin=begin)
    model.label_headers = predictor.label_headers
    return model
