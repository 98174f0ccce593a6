"""Whether the places a job writes to can be written, without writing to them."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from pathlib import Path

from contract.checklist import Line, attempt
from contract.datasets import storage
from contract.errors import OutputError
from contract.settings import Settings
from contract.variables import DEFAULT_MESSAGE_FILE


def check_places(settings: Settings) -> Iterator[Line]:
    """Yield a line for each folder or file that the job writes."""
    folders = {
        "output_path": settings.output_path,
        "register_new_baseline": settings.register_new_baseline,
        "history_path": settings.history_path,
    }
    if settings.publish_cloudwatch_metrics and "cloudwatch_metrics_directory" in settings.given:
        folders["cloudwatch_metrics_directory"] = settings.cloudwatch_metrics_directory
    # Outside of SageMaker the default place seldom exists, which fails no job.
    if settings.output_message_file != DEFAULT_MESSAGE_FILE:
        folders["output_message_file"] = settings.output_message_file
    for variable, path in folders.items():
        if path is not None:
            yield from attempt(functools.partial(_writable, variable, path))


def require_writable(path: str, role: str, *, is_file: bool = False) -> None:
    """Make sure that files can be written to a folder that may not exist yet, and create nothing.

    Parameters
    ----------
    path
        Local folder or ``s3://bucket/prefix``; a local file when `is_file`.
    role
        What it is, for the message.

    Raises
    ------
    OutputError
        Naming the path, what stands in the way, and the fix.
    """
    if storage.is_s3(path):
        storage.prepare_output(path, role)  # looks for the bucket, and writes nothing
        return
    target = Path(path)
    if is_file and target.is_dir():
        raise OutputError(f"{role} {path} is a folder, but the job writes a file there; name a file in it.")
    if is_file and target.exists():
        if not os.access(target, os.W_OK):
            raise OutputError(
                f"{role} {path} may not be overwritten; let this user write it, or name another file."
            )
        return
    above = target.parent if is_file else target
    while not above.exists() and above != above.parent:
        above = above.parent
    if not above.is_dir():
        raise OutputError(
            f"{role} {path} cannot be written: {above} is a file; name a folder, or remove that file."
        )
    if not os.access(above, os.W_OK | os.X_OK):
        raise OutputError(
            f"{role} {path} cannot be written: this user may not write to {above}; change that, or name "
            "another folder."
        )


def _writable(variable: str, path: str) -> Iterator[str]:
    require_writable(path, variable, is_file=variable == "output_message_file")
    yield f"{variable} {path} can be written"
