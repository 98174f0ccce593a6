"""``model.tar.gz``: unpacked with care, then the ``inference.py`` or the one model file in it.

An ``inference.py`` is the user's own program and is run, as on an endpoint; model files are only read.
"""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path
from typing import Any, Self

from contract.analysis_config.members import PredictorConfig
from contract.datasets import storage
from contract.errors import ModelError
from contract.models.policy import Policy
from contract.models.protocol import Model
from contract.scratch import make_scratch_folder

MOST_BYTES = 8_000_000_000
MOST_MEMBERS = 20_000
# Names and further headers of a member; tarfile holds them in memory.
MOST_HEADER_BYTES = 1 << 20
_HEADERS = (
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
)
_SCRIPTS = ("code/inference.py", "inference.py")
_NAMES = ("xgboost-model", "model_algo-1")
_ENDINGS = (".onnx", ".json", ".ubj", ".xgb", ".bst", ".txt", ".pkl", ".pickle", ".joblib")


def open_archive(
    path: str, predictor: PredictorConfig, policy: Policy, allow_pickled_model: bool, reopen: Any
) -> Model:
    """Return the model of a (compressed) tar archive, local or on S3.

    Raises
    ------
    ModelError
        When it cannot be unpacked, holds paths that lead out of it or more than 8 GB, or holds no model or
        several.
    """
    folder = make_scratch_folder("model-", f"unpacking {path}")
    try:
        unpack(path, folder)
        script = next((folder / name for name in _SCRIPTS if (folder / name).is_file()), None)
        if script is not None:
            from contract.models.inference_script import open_script

            return open_script(script, folder, path, predictor, policy, reopen)
        from contract.models.files import open_single

        file = _model_file(folder, path)
        where = f"{path}:{file.relative_to(folder)}"
        model = open_single(str(file), where, predictor, policy, allow_pickled_model, reopen)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)  # it is in memory
    return model


def unpack(path: str, folder: Path) -> None:
    """Unpack an archive into a folder; only plain files and folders, within it and within limits.

    Raises
    ------
    ModelError
        Naming the archive and the member at fault.
    """
    size = 0
    try:
        with (
            storage.open_input(path, ModelError) as stream,
            tarfile.open(fileobj=stream, mode="r|", tarinfo=_Member) as archive,
        ):
            for number, member in enumerate(archive):
                size += max(0, member.size)
                if number >= MOST_MEMBERS or size > MOST_BYTES:
                    raise ModelError(
                        f"model {path} holds more than {MOST_BYTES // 10**9} GB or {MOST_MEMBERS:,} files "
                        "when unpacked; leave out what the model does not need."
                    )
                if member.isfile() or member.isdir():
                    archive.extract(member, folder, filter="data")
    except tarfile.FilterError as error:
        raise ModelError(
            f"model {path} holds a member that leads out of the archive ({str(error)[:200]}); pack it anew "
            "with relative paths only."
        ) from error
    except (tarfile.TarError, OSError, EOFError) as error:
        reason = " ".join(str(error).split()).rstrip(".")[:200]
        raise ModelError(
            f"model {path} cannot be unpacked ({reason}); it must be a whole tar archive, compressed by gzip."
        ) from error


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
    raise ModelError(
        f"model {path} {problem}; pack one ONNX, XGBoost or LightGBM file, or add code/inference.py that "
        "says how to load and ask it."
    )
