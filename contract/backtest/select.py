"""Which windows an edit is about: an edited baseline fits one monitor, and one schedule of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from contract.backtest.replay import Edit, Kind, kind_of
from contract.backtest.windows import (
    STATISTICS,
    VIOLATIONS,
    PastWindow,
    folder_above,
    window_of_folder,
)
from contract.datasets import storage
from contract.errors import ConfigurationError, DatasetError, InputError
from contract.history import folder

_LISTED = 5


def monitors_of(edit: Edit, kinds: Mapping[str, Kind]) -> tuple[str, ...]:
    """Return the monitors that an edit fits: all of them where it has no document.

    Raises
    ------
    ConfigurationError
        When its documents are of no monitor, or of different ones.
    """
    fitting = tuple(kinds)
    for document, role in ((edit.constraints, "constraints"), (edit.baseline_statistics, "statistics")):
        if document is None:
            continue
        own = [
            name
            for name, kind in kinds.items()
            if (kind.takes if role == "constraints" else kind.has_written)(document.value)
        ]
        if not own:
            raise ConfigurationError(
                f"{document.where} is a {role} file of no monitor; give the one that a baseline job wrote, "
                "edited or not."
            )
        fitting = tuple(name for name in fitting if name in own)
    if not fitting:
        raise ConfigurationError(
            "baseline_constraints and baseline_statistics are of different monitors; give those of one."
        )
    if edit.attribution_drift_threshold is not None:
        fitting = tuple(name for name in fitting if name == "feature-attribution") or fitting
    return fitting


def require_one_schedule(windows: Sequence[PastWindow], edit: Edit) -> None:
    """Refuse to try one baseline on windows of several schedules, which have one each.

    Raises
    ------
    ConfigurationError
        Naming them.
    """
    if edit.constraints is None and edit.baseline_statistics is None:
        return
    found = {
        (run.monitor, run.endpoint or "-", run.schedule or "-", str(run.checking.get("segment_by", "")))
        for window in windows
        if (run := window.run) is not None
    }
    if len(found) > 1:
        several = [f"{monitor} of endpoint {of} schedule {by}" for monitor, of, by, _ in sorted(found)]
        more = ", ..." if len(several) > _LISTED else ""
        raise ConfigurationError(
            f"The runs asked for are of several jobs ({', '.join(several[:_LISTED])}{more}), but the "
            "baseline given is of one; name it with --monitor, --endpoint or --schedule."
        )


def windows_of_folders(
    folders: Sequence[str],
    rules: str,
    checking: Mapping[str, Any],
    monitors: Collection[str],
    kinds: Mapping[str, Kind],
) -> list[PastWindow]:
    """Return the windows whose files lie in folders, or anywhere below them.

    Parameters
    ----------
    folders
        Output folders of jobs; or folders above, of which every one with both statistics and violations is
        taken. Local or on S3.
    rules
        By which they were checked, which the files do not tell.
    checking
        What else they do not tell.
    monitors
        Windows of others are left out.

    Raises
    ------
    DatasetError
        When a folder is not there, or holds no statistics.
    """
    windows = []
    for given in folders:
        paths = [file.path for file in storage.list_files(given, "folder")]
        known = set(paths)
        own = folder.join(given, STATISTICS)
        if own in known:
            found = [own]
        else:
            found = [
                path
                for path in paths
                if path.endswith(f"/{STATISTICS}") and f"{folder_above(path)}/{VIOLATIONS}" in known
            ]
        if not found:
            raise DatasetError(
                f"{given} holds no {STATISTICS} with a {VIOLATIONS} beside it; give the output_path of "
                "monitoring jobs."
            )
        for path in found:
            window = window_of_folder(folder_above(path), known, rules, checking)
            monitor = _monitor_of(window, kinds)
            if monitor is None or monitor in monitors:
                windows.append(replace(window, monitor=monitor))
    return windows


def _monitor_of(window: PastWindow, kinds: Mapping[str, Kind]) -> str | None:
    """Return the monitor that wrote a window, None where replaying it will say why nobody can tell."""
    try:
        return kind_of(window, window.load(), kinds).monitor
    except InputError:
        return None
