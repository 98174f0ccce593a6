"""Models that run in this process, from a file."""

import contextlib
import faulthandler
import functools
import io
import logging
import math
import os
import pickle
import re
import resource
import signal
import threading
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from select import PIPE_BUF, select
from typing import Any, Literal, NamedTuple

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from contract.analysis_config import Locator, PredictorConfig
from contract.errors import ConfigurationError, ModelError, wording
from contract.wording import listing
from model_clients import model as models
from model_clients.model import Scores, category_codes, category_key, numeric_matrix, require

_log = logging.getLogger(__name__)

Kind = Literal["onnx", "xgboost", "lightgbm", "catboost", "linear", "pickled"]


@dataclass
class LocalModel:
    """A model that runs in this process.

    Parameters
    ----------
    where
        Its file.
    kind
        What reads it.
    native
        The library's own object, for explanations that need more than scores: a ``Booster``, an
        ``InferenceSession``, a `LinearModel`.
    score
        Gives scores, shape (rows,) or (rows, outputs).
    reopen
        A function and its arguments that make the same model in another process.
    label
        Gives labels, when the model has them as an answer of its own.
    label_headers
        Names of the classes, as the user says.
    classes
        The classes in the order of the scores, as the model says.
    names, count
        The features' names, when the model knows them, and their number, when it says.
    only_labels
        Whether what it answers are labels and no scores.
    numeric_trees
        Whether it is a sum of trees that split by numbers only, which ``shap.TreeExplainer`` needs.
    """

    where: str
    kind: Kind
    native: Any
    score: Callable[[pa.RecordBatch], Any]
    reopen: tuple[Callable[..., Any], tuple[Any, ...]] = (object, ())
    label: Callable[[pa.RecordBatch], Any] | None = None
    label_headers: Sequence[str | int] = ()
    classes: Sequence[str | int] = ()
    names: Sequence[str] | None = None
    count: int | None = None
    only_labels: bool = False
    numeric_trees: bool = False

    def __reduce__(self) -> tuple[object, ...]:
        return self.reopen

    def predict(self, table: pa.RecordBatch) -> Scores:
        """Return the scores; see `Model.predict`."""
        if not table.num_rows:
            return np.empty((0, 1))
        answer = self._ask(self.score, table)
        told = {"model": self.where, "label": lambda error: repr(answer.item(0))}
        with ModelError.instead_of("model_answer.only_labels", ValueError, **told):
            scores = answer.astype(np.float64).reshape(table.num_rows, -1)
            if self.only_labels and not np.isin(scores, (0, 1)).all():
                raise ValueError
        if len(self.classes) == scores.shape[1]:
            scores = scores[:, models.order_of_classes(self.classes, self.label_headers, self.where)]
        return models.require_finite(scores, self.where)

    def predict_labels(self, table: pa.RecordBatch) -> pa.Array:
        """Return the labels; see `Model.predict_labels`."""
        if self.label is None or (self.label_headers and not self.only_labels):
            return models.largest_labels(self.predict(table), self.label_headers, self.where)
        return pa.array(self._ask(self.label, table).reshape(table.num_rows))

    def close(self) -> None:
        """Let go of the library's object."""
        self.native = None

    def _ask(self, function: Callable[[pa.RecordBatch], Any], table: pa.RecordBatch) -> Any:
        columns = models.plain(models.select(table, self.names, self.count, self.where))
        say = _named_line if self.kind == "pickled" else first_line
        # Libraries have errors of their own, pickled models any.
        with ModelError.instead_of("model_answer.failed", Exception, problem=say, model=self.where):
            answer = np.asarray(function(columns))
        rows = table.num_rows
        # Another shape would mix the answers to different rows.
        if answer.size != rows and (function is self.label or (rows > 1 and len(answer) != rows)):
            raise ModelError.of("model_answer.shape", model=self.where, shape=answer.shape, rows=rows)
        return answer


def first_line(error: Exception) -> str:
    """Return what a library's exception says, without its stack trace and source lines."""
    text = str(error).strip().split("Stack trace:")[0].strip()
    line = text.split("\n")[0]
    # XGBoost begins with the time and the place in its own source.
    if line.startswith("["):
        line = line.partition("] ")[2].partition(": ")[2] or line
    return " ".join(line.split()).rstrip(".")[:200] or type(error).__name__


def _named_line(error: Exception) -> str:
    return f"{type(error).__name__}: {first_line(error)}"


# A first try at a model file in a process of its own, with limits of time and memory.
#
# Libraries crash, never return or want all memory on some files. So a copy of this process loads the file and
# scores some rows; what happens to it is known before this process does the same.


LEAST_SECONDS = 30.0
_SECONDS_PER_BYTE = 1e-6
_TOO_LARGE, _REFUSED = 77, 78  # exit codes
_SHARE_OF_MEMORY = 0.8
# Limit and use of the control group, in the second and the first version of such.
_LIMITS = (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"))
_NO_MEMORY = re.compile("bad_?alloc|failed to allocate|out of memory|cannot allocate", re.IGNORECASE)


class RefusedError(Exception):
    """A library said of a file what is wrong with it."""


def crash_of(attempt: Callable[[], Any], size: int) -> str | None:
    """Return what becomes of a process that makes an attempt; None when it comes to an end of its own.

    Parameters
    ----------
    attempt
        What to try; whatever it raises is no harm. It must keep to one thread.
    size
        Of the file in bytes, for the time it may take.

    Raises
    ------
    RefusedError
        When the attempt does.
    """
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # The copy has one thread, and ends without running anything of the others.
        warnings.filterwarnings("ignore", category=DeprecationWarning, message=".*fork")
        process = os.fork()
    if process == 0:
        code = 0
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
            faulthandler.disable()  # its file may be another than the standard error
            used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            limit = used + int(_SHARE_OF_MEMORY * _free_memory())
            _, most = resource.getrlimit(resource.RLIMIT_AS)
            if most == resource.RLIM_INFINITY or limit < most:
                resource.setrlimit(resource.RLIMIT_AS, (limit, most))
            attempt()
        except RefusedError as error:
            os.write(writing, str(error).encode()[:PIPE_BUF])
            code = _REFUSED
        except BaseException as error:  # no harm
            if isinstance(error, MemoryError) or _NO_MEMORY.search(str(error)):
                code = _TOO_LARGE
        finally:
            os._exit(code)
    os.close(writing)
    seconds = LEAST_SECONDS + _SECONDS_PER_BYTE * size
    with os.fdopen(reading, "rb") as told:
        # The copy's end of the pipe closes with the copy.
        is_over, _, _ = select([told], [], [], seconds)
        if not is_over:
            os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        ended = os.waitstatus_to_exitcode(status)
        if ended == _REFUSED:
            raise RefusedError(told.read().decode(errors="replace"))
    if not is_over:
        return f"it is not loaded after {seconds:.0f} s"
    if ended == _TOO_LARGE:
        return f"it needs more than the {_free_memory() / 1e9:.1f} GB of memory that are free"
    return f"it makes its library end with {signal.Signals(-ended).name}" if ended < 0 else None


def _free_memory() -> int:
    """Return the bytes that this process may still take, by the machine and its control group."""
    found = re.search(r"MemAvailable:\s+(\d+)", Path("/proc/meminfo").read_text())
    free = int(found[1]) * 1024 if found else 1 << 40
    group = Path("/sys/fs/cgroup")
    for names in _LIMITS:
        with contextlib.suppress(OSError, ValueError):
            most, used = (int((group / name).read_text()) for name in names)
            free = min(free, max(0, most - used))
    return free


def varied_rows(features: int) -> NDArray[np.float64]:
    """Return rows with values of all sizes and missing ones, so that most branches of trees are walked."""
    random = np.random.default_rng(0)
    rows = random.normal(size=(256, features)) * 10.0 ** random.integers(-3, 7, size=(256, features))
    return np.where(random.random(size=rows.shape) < 0.1, np.nan, rows)


# Boosted trees in the native files of XGBoost and LightGBM.


def open_xgboost(content: bytes, where: str, threads: int) -> LocalModel:
    """Return the model of an XGBoost file, JSON or UBJSON.

    Trees up to ``best_iteration`` are used when early stopping left one in the file.

    Raises
    ------
    ModelError
        When the file is damaged, or is no model.
    """
    xgboost = require("xgboost", "xgboost-cpu", where)

    def load(threads: int = threads) -> Any:
        booster = xgboost.Booster({"nthread": threads})
        booster.load_model(bytearray(content))
        booster.set_param({"nthread": threads})
        booster.num_features()
        return booster

    def alone() -> Any:
        # Threads of the original do not exist in the copy.
        xgboost.core._LIB.omp_set_num_threads(1)
        return load(1)

    def check(copy: Any) -> None:
        saved = orjson.loads(copy.save_raw("json"))["learner"]["gradient_booster"]
        trees = saved.get("gbtree", saved)["model"].get("trees", ())
        parts = ("split_indices", "left_children", "right_children")
        for features, *children in ([tree[part] for part in parts] for tree in trees):
            inner = [node for node in range(len(features)) if children[0][node] != -1]
            used = [features[node] for node in inner]
            below = [side[node] for side in children for node in inner]
            _require_tree(used, copy.num_features(), below, range(len(features)))

    def use(copy: Any) -> None:
        copy.inplace_predict(varied_rows(copy.num_features()))

    with _whole(where, "XGBoost", content, xgboost.core.XGBoostError, alone, check, use):
        booster = load()
    return _xgboost_model(booster, where)


def _xgboost_model(booster: Any, where: str) -> LocalModel:
    best = booster.attr("best_iteration")
    trees = (0, int(best) + 1) if best is not None and best.isdigit() else (0, 0)
    xgboost = require("xgboost", "xgboost-cpu", where)
    learner = orjson.loads(booster.save_config())["learner"]
    linear = learner["gradient_booster"]["name"] == "gblinear"
    if learner["objective"]["name"] == "multi:softmax":
        booster.set_param({"objective": "multi:softprob"})  # scores, not the number of the class
    stored = [] if linear else booster.get_categories(export_to_arrow=True).to_arrow()
    categories = {
        number: values.to_pylist() for number, (_, values) in enumerate(stored) if values is not None
    }
    names = booster.feature_names or [str(number) for number in range(booster.num_features())]
    coded = [name for name, kind in zip(names, booster.feature_types or (), strict=False) if kind == "c"]
    if coded and not categories:
        _log.warning("%s", wording("model_file.no_categories", file=where, columns=listing(coded)))

    def score(table: pa.RecordBatch) -> Any:
        table = category_codes(table, categories, where, refuse_unseen=True)
        matrix = numeric_matrix(table, np.float32, where)
        if linear:
            return booster.predict(xgboost.DMatrix(matrix, feature_names=booster.feature_names))
        return booster.inplace_predict(matrix, iteration_range=trees, missing=math.nan)

    model = LocalModel(where, "xgboost", booster, score, numeric_trees=not (coded or linear))
    model.names, model.count = booster.feature_names, booster.num_features()
    return model


def open_lightgbm(content: bytes, where: str, threads: int) -> LocalModel:
    """Return the model of a LightGBM text file.

    Raises
    ------
    ModelError
        When the file is damaged, or is no model.
    """
    lightgbm = require("lightgbm", "lightgbm", where)

    def load() -> Any:
        text = content.decode()
        # Asked for damaged parameters of training, LightGBM at times reads memory that is not its own.
        return lightgbm.Booster(model_str=_TRAINING.sub("", text)), text

    def alone() -> Any:
        # Threads of the original do not exist in the copy, and LightGBM remembers how many it last used.
        lightgbm.basic._LIB.LGBM_SetMaxThreads(1)
        return load()

    def check(copy: Any) -> None:
        booster, text = copy
        for tree in re.split(r"^Tree=", text, flags=re.MULTILINE)[1:]:
            found = dict(_PARTS_OF_A_TREE.findall(tree))
            leaves = int(found.pop("num_leaves"))
            parts = (found.get(part, "") for part in ("split_feature", "left_child", "right_child"))
            features, left, right = ([int(word) for word in part.split()] for part in parts)
            _require_tree(features, booster.num_feature(), left + right, range(-leaves, leaves - 1))

    def use(copy: Any) -> None:
        copy[0].predict(varied_rows(copy[0].num_feature()), num_threads=1)

    with _whole(where, "LightGBM", content, lightgbm.basic.LightGBMError, alone, check, use):
        booster, text = load()
        return _lightgbm_model(booster, where, threads, text)


def _require_tree(features: list[int], count: int, children: list[int], nodes: range) -> None:
    """Raise RefusedError where a tree leads to what is not there, or back to itself."""
    is_there = all(0 <= feature < count for feature in features) and all(child in nodes for child in children)
    # Nobody's child is the root, and every other node that of one.
    if not is_there or 0 in children or len({*children}) < len(children):
        raise RefusedError("a tree has a split or a node that leads nowhere")


_PARTS_OF_A_TREE = re.compile(r"^(num_leaves|split_feature|left_child|right_child)=(.*)$", re.MULTILINE)
_TRAINING = re.compile(r"^parameters:.*?(^end of parameters|\Z)", re.MULTILINE | re.DOTALL)


def _lightgbm_model(booster: Any, where: str, threads: int, text: str) -> LocalModel:
    names = booster.feature_name()
    known = None if names == [f"Column_{number}" for number in range(len(names))] else names
    ranges = re.search(r"^feature_infos=(.*)$", text, re.MULTILINE)
    declared = re.search(r"^\[categorical_feature: ([\d,]+)\]", text, re.MULTILINE)
    # Codes that training saw of each categorical feature; none are written of one that was constant.
    seen: dict[int, list[int]] = {int(number): [] for number in declared[1].split(",")} if declared else {}
    for number, span in enumerate(ranges[1].split() if ranges else ()):
        if span[0] != "[" and span != "none":
            seen[number] = [int(code) for code in span.split(":")]
    if any(number >= len(names) for number in seen):
        raise ValueError("feature_infos or categorical_feature name more features than there are")
    lists = booster.pandas_categorical or []
    categories = dict(zip(sorted(seen), lists, strict=False))
    if lists and (
        len(lists) != len(seen)
        or any(max(seen[number], default=0) >= len(values) for number, values in categories.items())
    ):
        shown = listing([names[number] for number in sorted(seen)])
        counts: dict[str, Any] = {"lists": len(lists), "features": len(seen)}
        raise ModelError.of("lightgbm.categories", file=where, **counts, names=shown)

    def score(table: pa.RecordBatch) -> Any:
        table = category_codes(table, categories, where, refuse_unseen=False)
        return booster.predict(numeric_matrix(table, np.float64, where), num_threads=threads)

    model = LocalModel(where, "lightgbm", booster, score, numeric_trees=not seen)
    model.names, model.count = known, booster.num_feature()
    return model


# What is done with a booster, and what it is best saved as.
_Step = Callable[..., Any]
_NOTHING: _Step = id
_SAVED_AS = {"XGBoost": "model.json", "LightGBM": "model.txt", "CatBoost": "model.cbm"}


@contextlib.contextmanager
def _whole(
    where: str, library: str, content: bytes, failure: type[Exception], load: _Step, check: _Step, use: _Step
) -> Iterator[None]:
    """Load a booster inside the block once a copy of this process has loaded it, checked it and used it.

    What does not load there is not loaded here: reading memory that is not its own, a library may say one
    thing there and end the process here.
    """
    refusals = (failure, ValueError, TypeError)

    def attempt() -> None:
        try:
            model = load()
        except refusals as error:
            raise RefusedError(first_line(error)) from None
        try:
            check(model)
        except (LookupError, TypeError, ValueError):
            raise RefusedError("its trees cannot be read") from None
        use(model)

    told = {"file": where, "library": library, "name": _SAVED_AS[library]}
    with ModelError.instead_of("model_file.damaged", *refusals, RefusedError, problem=first_line, **told):
        if reason := crash_of(attempt, len(content)):
            raise ModelError.of("model_file.harmful", file=where, library=library, reason=reason)
        yield


# Pickled models, which run whatever code their maker put in: only when the user says so.


def open_pickled(content: bytes, where: str, allowed: bool) -> LocalModel:
    """Return a pickled model with scikit-learn's methods, or a booster.

    Scores are ``predict_proba`` where there is one, else ``predict``.

    Raises
    ------
    ModelError
        When it is not `allowed`, cannot be loaded, or has no such method.
    """
    if not allowed:
        raise ModelError.of("pickled_model.not_allowed", file=where)
    # Unpickling runs code of the file's choice, which may raise anything.
    with ModelError.instead_of("pickled_model.damaged", Exception, problem=_named_line, file=where):
        if where.endswith(".joblib"):
            model = require("joblib", "joblib", where).load(io.BytesIO(content))
        else:
            model = pickle.loads(content)  # noqa: S301 - the user has accepted the risk explicitly
    if type(model).__name__ == "Booster" and type(model).__module__.startswith("xgboost"):
        return _xgboost_model(model, where)
    if type(model).__name__ == "Booster" and type(model).__module__.startswith("lightgbm"):
        return _lightgbm_model(model, where, 1, model.model_to_string(num_iteration=1))
    method = getattr(model, "predict_proba", None) or getattr(model, "predict", None)
    if not callable(method):
        raise ModelError.of("pickled_model.no_method", file=where, kind=type(model).__name__)
    names = getattr(model, "feature_names_in_", None)

    def features(table: pa.RecordBatch) -> Any:
        if names is None:
            return numeric_matrix(table, np.float64, where)
        require("pandas", "pandas", where)
        return table.to_pandas()

    opened = LocalModel(where, "pickled", model, lambda table: _beside(method(features(table))))
    if (classes := getattr(model, "classes_", None)) is not None:
        # A list of arrays is of several outputs.
        opened.classes = [] if np.ndim(classes[0]) else np.asarray(classes).tolist()
        opened.label = lambda table: model.predict(features(table))
        opened.only_labels = not hasattr(model, "predict_proba")
    opened.names = None if names is None else [str(name) for name in names]
    opened.count = getattr(model, "n_features_in_", None)
    return opened


def _beside(answer: Any) -> Any:
    """Return the tables of several outputs side by side, so that each row has its own scores."""
    return np.hstack(answer) if isinstance(answer, list) and np.ndim(answer[0]) == 2 else answer


# What CatBoost's own classes predict by the loss of training; anything else as the trees add up.
_PROBABILITIES = ("Logloss", "CrossEntropy", "MultiClass", "MultiClassOneVsAll")
_PREDICTIONS = dict.fromkeys(_PROBABILITIES, "Probability") | {"Poisson": "Exponent", "Tweedie": "Exponent"}


def open_catboost(content: bytes, where: str, threads: int) -> LocalModel:
    """Return the model of a CatBoost file; scores are probabilities where it was trained for such.

    Raises
    ------
    ModelError
        When the file is damaged, or catboost is not installed, as in the images.
    """
    with ModelError.instead_of("model_file.catboost", ImportError, file=where):
        import catboost

    def load() -> Any:
        return catboost.CatBoost().load_model(blob=content)

    with _whole(where, "CatBoost", content, catboost.CatBoostError, load, _NOTHING, _NOTHING):
        model = load()
    kind = _PREDICTIONS.get(model.get_all_params()["loss_function"].partition(":")[0], "RawFormulaVal")
    texts = {*model.get_cat_feature_indices(), *model.get_text_feature_indices()}

    def score(table: pa.RecordBatch) -> Any:
        columns: dict[str, Any] = {}
        for number, (name, column) in enumerate(zip(table.schema.names, table.columns, strict=True)):
            if number not in texts:
                columns[name] = numeric_matrix(table.select([number]), np.float64, where)[:, 0]
                continue
            if column.null_count:
                raise ModelError.of("model_columns.missing", field=name, model=where, kind="categories")
            columns[name] = [category_key(value) for value in column.to_pylist()]
        frame = require("pandas", "pandas", where).DataFrame(columns)
        return model.predict(frame, prediction_type=kind, thread_count=threads)

    names = model.feature_names_
    opened = LocalModel(where, "catboost", model, score, classes=model.classes_.tolist(), count=len(names))
    opened.names = None if names == [str(number) for number in range(len(names))] else names
    return opened


# Models of SageMaker's Linear Learner: a zip archive with the weights as MXNet stores arrays.
#
# The weights are read directly; MXNet is not needed. Its format of lists of arrays is (little endian): 8
# bytes 0x112, 8 reserved, the number of arrays (8), the arrays, the number of names (8), the names, each as
# its length (8) and text. An array is 4 bytes 0xF993FAC9, its storage type (4, dense is 0), the number of
# dimensions (4), the dimensions (8 each), device type and number (4 each), element type (4), the elements.


_LIST, _ARRAY = 0x112, 0xF993FAC9
_ELEMENTS = {0: "<f4", 1: "<f8"}
_PARAMETERS, _EXTRAS = "mx-mod-0000.params", "additional-params.json"
_MOST_BYTES = 64 << 20


class LinearModel(NamedTuple):
    """Scores that are a function of weighted sums.

    Parameters
    ----------
    weights
        Shape (features, outputs).
    bias
        Shape (outputs,).
    link
        What becomes of the sums: nothing, ``logistic``, or ``softmax``.
    threshold
        Scores above it are label 1, for binary classification.
    """

    weights: NDArray[np.float64]
    bias: NDArray[np.float64]
    link: Literal["identity", "logistic", "softmax"]
    threshold: float | None = None

    def score(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the scores of rows, shape (rows, outputs)."""
        from scipy.special import expit, softmax

        links = {"logistic": expit, "softmax": functools.partial(softmax, axis=1)}
        scores: NDArray[np.float64] = links.get(self.link, np.asarray)(matrix @ self.weights + self.bias)
        return scores


def open_linear_learner(content: bytes, where: str) -> LocalModel:
    """Return the model of a Linear Learner archive (``model_algo-1``).

    Raises
    ------
    ModelError
        When it is damaged, or none.
    """
    wrong = (zipfile.BadZipFile, KeyError, ValueError, IndexError, TypeError)
    with ModelError.instead_of("model_file.linear_learner", *wrong, problem=first_line, file=where):
        model = _read(content)

    def score(table: pa.RecordBatch) -> Any:
        return model.score(numeric_matrix(table, np.float64, where))

    opened = LocalModel(where, "linear", model, score, count=model.weights.shape[0])
    if model.threshold is not None:
        opened.label = lambda table: (score(table)[:, 0] > model.threshold).astype(np.int64)
    return opened


def _read(content: bytes) -> LinearModel:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if sum(member.file_size for member in archive.infolist()) > _MOST_BYTES:
            raise ValueError(f"larger than {_MOST_BYTES >> 20} MB unpacked")
        arrays = _arrays(archive.read(_PARAMETERS))
        extras = orjson.loads(archive.read(_EXTRAS))
    weights = arrays["arg:fc0_weight"].astype(np.float64)
    bias = arrays["arg:fc0_bias"].astype(np.float64).reshape(-1)
    kind, loss = extras["predictor_type"], extras.get("loss_type")
    if kind == "binary_classifier" and loss == "logistic":
        return LinearModel(weights, bias, "logistic", float(extras["threshold"]))
    if kind not in ("multiclass_classifier", "regressor"):
        raise ValueError(f"its predictor_type {kind} with loss {loss} is not supported")
    return LinearModel(weights, bias, "identity" if kind == "regressor" else "softmax")


def _arrays(content: bytes) -> dict[str, NDArray[np.floating[Any]]]:
    at = 0

    def take(kind: str, count: int = 1) -> Any:
        nonlocal at
        if count * np.dtype(kind).itemsize > len(content) - at:
            raise ValueError("it claims arrays that it does not hold")
        found = np.frombuffer(content, kind, count, at)
        at += found.nbytes
        return found

    magic, _, count = take("<u8", 3)
    if magic != _LIST:
        raise ValueError("its weights are not a list of MXNet arrays")
    arrays = []
    for _ in range(count):
        magic, storage, dimensions = take("<u4", 3)
        if magic != _ARRAY or storage != 0 or dimensions > 4:
            raise ValueError("its weights are not dense MXNet arrays")
        shape = take("<u8", dimensions).tolist()
        *_, element = take("<i4", 3).tolist()
        arrays.append(take(_ELEMENTS[element], math.prod(shape)).reshape(shape))
    names = [take("u1", int(*take("<u8"))).tobytes().decode() for _ in range(int(*take("<u8")))]
    return dict(zip(names, arrays, strict=False))


# Models as ONNX files, run by ONNX Runtime.
#
# One input of shape (rows, features) takes all columns; otherwise there is one input per column, by name or
# by position. Scores are the output that ``predictor.probability`` names (or counts); by default the last one
# that holds floats, which for classifiers converted from scikit-learn are the probabilities of the classes.


_KINDS = (np.float16, np.int64, np.int32, np.int8, np.uint8)
_TYPES: dict[str, type[Any]] = {f"tensor({kind.__name__})": kind for kind in _KINDS}
_TYPES |= {"tensor(float)": np.float32, "tensor(double)": np.float64}
_TYPES |= {"tensor(bool)": np.bool_, "tensor(string)": np.str_}
# Seconds of one call: more than any that comes to an end, for graphs may loop as their data tells them.
LONGEST_RUN = 600.0
_TRIAL_ROWS = 64
_LABELS = ("tensor(int64)", "tensor(string)")
_SCORES = ("tensor(float)", "tensor(double)", "tensor(float16)", "seq(")


def open_onnx(source: str | bytes, where: str, predictor: PredictorConfig, threads: int) -> LocalModel:
    """Return the model of an ONNX file.

    Parameters
    ----------
    source
        Local path, or the file's bytes.
    where
        The file, for messages.
    predictor
        Which outputs hold scores and labels.

    Raises
    ------
    ModelError
        When the file is damaged, harmful, or holds an input that rows of columns cannot fill.
    """

    def attempt() -> None:
        copy = _session(runtime, source, where, threads=1)
        copy.run(None, {tensor.name: _trial_values(tensor) for tensor in copy.get_inputs()})

    content = source if isinstance(source, bytes) else Path(source).read_bytes()
    runtime = require("onnxruntime", "onnxruntime", where)
    if reason := crash_of(attempt, len(content)):
        raise ModelError.of("onnx.harmful", file=where, reason=reason)
    session = _session(runtime, source, where, threads)
    inputs = session.get_inputs()
    outputs = session.get_outputs()
    if not outputs:
        raise ModelError.of("onnx.damaged", file=where, problem="it has no outputs")
    floats = [output.name for output in outputs if output.type.startswith(_SCORES)]
    score_output = str(floats[-1] if floats else outputs[-1].name)
    others = [one.name for one in outputs if one.type in _LABELS]
    only_labels = not floats and score_output in others and predictor.probability is None
    if predictor.probability is not None:
        score_output = _named(outputs, predictor.probability, "predictor.probability", where)
    label_output = next((name for name in others if only_labels or name != score_output), None)
    if predictor.label is not None:
        label_output = _named(outputs, predictor.label, "predictor.label", where)
    is_matrix = len(inputs) == 1 and len(inputs[0].shape) == 2 and inputs[0].shape[1] != 1
    width = inputs[0].shape[1] if is_matrix else len(inputs)

    def run(table: pa.RecordBatch, output: str) -> Any:
        parts = [table] if is_matrix else [table.select([name]) for name in table.schema.names]
        feeds = {}
        for tensor, columns in zip(inputs, parts, strict=True):
            values = models.tensor_values(columns, _TYPES[tensor.type], where)
            feeds[tensor.name] = values if len(tensor.shape) == 2 else values[:, 0]
        answer = _run_batches(session, feeds, output, inputs[0].shape[0], table.num_rows)
        return np.hstack(list(answer)) if is_fixed[output] == [True, False, True] else answer

    # Converters put the tables of several outputs one upon the other.
    is_fixed = {one.name: [isinstance(size, int) for size in one.shape] for one in outputs}
    model = LocalModel(
        where, "onnx", session, lambda table: run(table, score_output), only_labels=only_labels
    )
    if label_output:
        model.label = lambda table: run(table, label_output)
    model.classes = onnx_classes(content)
    if any(one.name == score_output and one.type.startswith("seq(map(") for one in outputs):
        model.classes = sorted(model.classes)
    model.names = None if is_matrix else [tensor.name for tensor in inputs]
    model.count = width if isinstance(width, int) else None
    return model


def _session(runtime: Any, source: str | bytes, where: str, threads: int) -> Any:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # ONNX Runtime has a class of its own for every status.
    with ModelError.instead_of("onnx.damaged", Exception, problem=first_line, file=where):
        session = runtime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    if odd := [tensor for tensor in session.get_inputs() if tensor.type not in _TYPES]:
        raise ModelError.of("onnx.input_type", file=where, input=odd[0].name, type=odd[0].type)
    return session


def _named(outputs: Sequence[Any], locator: Locator, field: str, where: str) -> str:
    names = [str(output.name) for output in outputs]
    if isinstance(locator, int) and 0 <= locator < len(names):
        return names[locator]
    if locator in names:
        return str(locator)
    listed = ", ".join(names)
    raise ConfigurationError.of("onnx.output", file=where, field=field, locator=locator, outputs=listed)


def _trial_values(tensor: Any) -> NDArray[Any]:
    sizes = [size if isinstance(size, int) and size > 0 else 1 for size in tensor.shape]
    if sizes and not isinstance(tensor.shape[0], int):
        sizes[0] = _TRIAL_ROWS
    kind = _TYPES[tensor.type]
    if kind is np.str_:
        return np.full(sizes, "a", dtype=object)
    values = np.resize(varied_rows(4), sizes)
    return values.astype(kind) if issubclass(kind, np.floating) else np.nan_to_num(values).astype(kind)


def _run_batches(
    session: Any, feeds: dict[str, NDArray[Any]], output: str, fixed: object, rows: int
) -> NDArray[Any]:
    """Run all rows at once, or in the batches of fixed size that the model was exported for."""
    if not isinstance(fixed, int) or fixed < 1 or fixed == rows:
        return _run(session, feeds, output)
    parts = []
    for start in range(0, rows, fixed):
        # Copies of the last row fill the last batch.
        places = np.minimum(np.arange(start, start + fixed), rows - 1)
        part = _run(session, {name: values[places] for name, values in feeds.items()}, output)
        parts.append(part[: rows - start])
    return np.concatenate(parts)


def _run(session: Any, feeds: dict[str, NDArray[Any]], output: str) -> NDArray[Any]:
    from onnxruntime import RunOptions

    options = RunOptions()
    options.log_severity_level = 4
    watch = threading.Timer(LONGEST_RUN, setattr, (options, "terminate", True))
    watch.daemon = True
    watch.start()
    try:
        values = session.run([output], feeds, options)[0]
    finally:
        watch.cancel()
    if isinstance(values, list) and values and isinstance(values[0], dict):
        # scikit-learn's converter writes one map of class to probability per row, classes ascending.
        return np.array([[row[name] for name in values[0]] for row in values])
    return np.asarray(_beside(values))


def onnx_classes(content: bytes) -> list[str | int]:
    """Return the classes of a classifier in the order of its scores; none where the file has none.

    Converters write them into the node that gives the scores: field 5 of nodes, which are field 1 of the
    graph, which is field 7; in it texts are field 9, whole numbers 8. The last such node counts.
    """
    classes: list[str | int] = []
    for graph in _members(memoryview(content), 7):
        for node in _members(graph, 1):
            for attribute in _members(node, 5):
                if bytes(next(_members(attribute, 1), b"")).startswith(b"classlabels_"):
                    classes = [bytes(text).decode() for text in _members(attribute, 9)]
                    classes += [value - (value >> 63 << 64) for value in _members(attribute, 8)]
    return classes


def _members(message: memoryview, field: int) -> Iterator[Any]:
    """Yield a repeated field of a message of Protocol Buffers: whole numbers, or views of bytes."""
    at = 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while message[at] > 127:
            at, value, shift = at + 1, value | (message[at] & 127) << shift, shift + 7
        at += 1
        return value | message[at - 1] << shift

    while at < len(message):
        found, kind = divmod(number(), 8)
        if kind == 0:
            value: Any = number()
        else:
            size = number() if kind == 2 else {1: 8, 5: 4}[kind]
            at, value = at + size, message[at : at + size]
        if found == field:
            yield value
