"""The on-demand gate: what passed its check becomes the baseline, and the one before is kept."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from contract.errors import OutputError
from file_storage import storage

if TYPE_CHECKING:
    from contract.api import Decision
    from contract.settings import Settings

KEPT = "previous"

_log = logging.getLogger(__name__)


def register_baseline_if_decided(
    settings: Settings, decision: Decision | None, documents: Mapping[str, bytes]
) -> str | None:
    """Register the run's documents as the new baseline, if the settings ask for it and the check allows it.

    A baseline is renewed whole or not at all: nothing is violated, something was decided, and no comparison
    has lost the figures that the baseline has. `decision` is None where the check was skipped.

    Returns
    -------
    Why the baseline stays as it was, as a sentence; None when it does not, or nothing was asked.

    Raises
    ------
    OutputError
        When the folder cannot be written; the baseline is as it was.
    """
    folder = settings.register_new_baseline
    if folder is None:
        return None
    reason = f"The baseline in {folder} stays as it was, because "
    if decision is not None and decision.violations.violations:
        return reason + "the check found violations."
    if decision is not None and decision.is_empty:
        return reason + "nothing could be decided."
    if decision is not None and decision.fails_gate:
        return reason + "this window lacks figures that it has."
    register_baseline(folder, documents, datetime.now(UTC))
    return None


def register_baseline(folder: str, documents: Mapping[str, bytes], now: datetime) -> str | None:
    """Put documents into the folder of the baseline, and keep those that they replace.

    What is replaced is copied first, to ``previous/<time>/`` within the folder. Each file then appears whole;
    when one cannot be written, those before it get their old content back.

    Parameters
    ----------
    folder
        Local, created when absent, or ``s3://bucket/prefix``.
    documents
        Content by file name.
    now
        Timezone-aware; the name of the kept copy.

    Returns
    -------
    Where the baseline before is kept, None when there was none.

    Raises
    ------
    OutputError
        When the folder cannot be written; the baseline is as it was.
    """
    folder = folder.rstrip("/") or "/"
    kept = None
    with storage.alone(folder):
        before = {
            name: content
            for name in documents
            if (content := storage.read_if_there(f"{folder}/{name}", OutputError)) is not None
        }
        if before:
            kept = f"{folder}/{KEPT}/{now.astimezone(UTC).strftime('%Y-%m-%dT%H%M%S.%fZ')}"
            storage.write_files_atomically(kept, before)
        try:
            storage.write_files_atomically(folder, documents)
        except OutputError:
            with contextlib.suppress(OutputError):
                storage.write_files_atomically(folder, before)
            raise
    _log.info("The new baseline is in %s%s", folder, f"; the one before is kept in {kept}" if kept else "")
    return kept
