"""What every console command does around its job: settings, log, summary, message file, exit code."""

from __future__ import annotations

import atexit
import errno
import gc
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from os import _exit
from pkgutil import resolve_name
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from contract.errors import MonitorError, Overtime, ScriptError, Stopped, wording
from contract.masking import mask
from contract.outcome import Line, print_checklist, write_message
from contract.settings import Program, Settings, message_file, read_settings
from file_storage.cleanup import all_undone
from job_runner.cluster.role import find_role

if TYPE_CHECKING:
    from contract.api import Monitor
    from job_runner.cluster.hosts import Cluster


# What a console command arranges in a process of its own, before anything heavy is loaded.


class _WithoutPandas:
    """A finder that says pandas is not installed."""

    def find_spec(self, name: str, *_: Any) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("No module named 'pandas'", name=name)


def leave_out_pandas() -> None:
    """Keep Arrow from loading pandas, which it does whenever pandas is installed.

    Only user scripts need it; for a small job it would be half of the time.
    """
    if "pandas" not in sys.modules:
        sys.meta_path.insert(0, _WithoutPandas())


_log = logging.getLogger("monitor")

_MOST_LINES = 12
_ROOM = "more room, in output_path and in the folder for temporary files (TMPDIR)"
_LACKING = dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), _ROOM)
_LACKING |= dict.fromkeys((errno.EMFILE, errno.ENFILE), "to open more files at once (ulimit -n)")
# What Python, Arrow and the loader of libraries say, whose errors are of no kind of their own.
_NO_THREAD = ("can't start new thread", "Failed to launch worker thread")
_NO_MEMORY = "failed to map segment"
_LONGEST_WAIT, _INSTANT = 5.0, 0.1
_ALLOCATIONS_A_SEARCH = 50_000


def call_named(name: str, *arguments: Any) -> Any:
    """Call a function by its name, ``module:function``, which is imported only then."""
    return resolve_name(name)(*arguments)


def run_command(monitor: Monitor, arguments: Sequence[str] | None = None) -> int:
    """Run a monitoring job as a console command and return its exit code.

    Parameters
    ----------
    monitor
        What the command does.
    arguments
        Command-line arguments; default those of the process.
    """

    def validate(settings: Settings) -> Any:
        return call_named("job_runner.validate:validate", settings, monitor)

    return run_program(monitor, lambda settings: _run(settings, monitor), validate, arguments)


def run_program(
    program: Program,
    run: Callable[[Settings], tuple[int, str]],
    validate: Callable[[Settings], Iterator[Line]],
    arguments: Sequence[str] | None = None,
) -> int:
    """Run a console command and return its exit code: settings, log, message file, exit code.

    Parameters
    ----------
    program
        Its name, and what can be set.
    run
        Does the work; returns exit code and message.
    validate
        Yields a line for each thing it checked.
    arguments
        Command-line arguments; default those of the process.
    """
    own_process = arguments is None
    if own_process:
        # What a job loads stays until its end: looking for garbage in it was a tenth of a small job's time.
        gc.set_threshold(_ALLOCATIONS_A_SEARCH)
        atexit.register(gc.freeze)
    arguments = sys.argv[1:] if arguments is None else arguments
    # Environment of the process is read here, once, and nowhere else for settings.
    environment = dict(os.environ)
    message_path = message_file(arguments, environment)
    _start_log("INFO")
    signal.signal(signal.SIGTERM, _stop)
    try:
        try:
            settings = read_settings(arguments, environment, program)
        except MonitorError as error:
            if "--validate" not in arguments:
                raise
            rest = "nothing else is looked at before the settings are mended"
            return print_checklist([Line("FAIL", error.message), Line("skip", rest)], sys.stdout)
        if own_process and any(mask(argument) != argument for argument in arguments):
            _hide_flags(settings)
        _start_log(settings.log_level)
        if settings.validate_only:
            return print_checklist(validate(settings), sys.stdout)
        if own_process:
            _arrange_process(settings, message_path)
        with all_undone():
            exit_code, message = run(settings)
    except MonitorError as error:
        exit_code, message = error.exit_code, error.message
        if error.details:
            _log.error("%s", error.details)
        _log.error("%s", message)
    except (Stopped, KeyboardInterrupt) as stop:
        if isinstance(stop, KeyboardInterrupt) and not own_process:
            raise
        _leave(stop, message_path)
    except MemoryError:
        exit_code, message = 1, wording("process.memory")
        _log.error("%s", message)
    except Exception as error:  # the last resort: whatever it is must reach the message file
        exit_code, message = _failure(error)
        _log.error("%s%s", traceback.format_exc() if exit_code == 1 else "", message)
    write_message(message_path, message)
    return _leave_threads(exit_code) if own_process else exit_code


def _failure(error: Exception) -> tuple[int, str]:
    """Return exit code and message for what nobody has named more closely."""
    if isinstance(error, OSError) and (lacking := _LACKING.get(error.errno or 0)):
        name = f" at {error.filename}" if error.filename else ""
        return 2, f"{os.strerror(error.errno or 0)}{name}: the job needs {lacking}."
    if any(lacking in str(error) for lacking in _NO_THREAD):
        return 2, wording("process.threads")
    if _NO_MEMORY in str(error):
        return 1, wording("process.memory")
    return 1, f"Internal error, please report it: {type(error).__name__}: {error}"


def _leave_threads(exit_code: int) -> int:
    """End the process where threads that a script has started would keep it alive."""
    until = time.monotonic() + _LONGEST_WAIT
    # Those that ask a model come last, and are not waited for: why one was given up the job has said.
    for thread in sorted(threading.enumerate(), key=_asks):
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(_INSTANT if _asks(thread) else max(0.0, until - time.monotonic()))
            if thread.is_alive():
                level = logging.DEBUG if _asks(thread) else logging.WARNING
                _log.log(level, wording("process.thread", thread=thread.name))
                sys.stdout.flush()
                _exit(exit_code)
    return exit_code


def _asks(thread: threading.Thread) -> bool:
    return thread.name.startswith("asking")


def _hide_flags(settings: Settings) -> NoReturn:
    """Start again without flags: everybody on the machine can read those, and they hold a secret."""
    flags = ["--validate"] if settings.validate_only else []
    before = sys.orig_argv[: len(sys.orig_argv) - len(sys.argv) + 1]
    os.execve(sys.executable, [*before, *flags], {**os.environ, **settings.given})  # noqa: S606 - ourselves


def _leave(stop: Stopped | KeyboardInterrupt, message_path: str) -> NoReturn:
    """End the process at once: threads still reading would otherwise hold it up."""
    exit_code, name = (130, "SIGINT") if isinstance(stop, KeyboardInterrupt) else (143, "SIGTERM")
    message = f"Stopped by {name} before the job was complete; no file was left half written."
    if isinstance(stop, Overtime):
        exit_code, message = ScriptError.exit_code, str(stop)
    _log.error("%s", message)
    write_message(message_path, message)
    _exit(exit_code)


def _run(settings: Settings, monitor: Monitor) -> tuple[int, str]:
    role = find_role(settings, os.environ)
    if role is None:
        return _run_here(settings, monitor)
    # Imported late, as what follows: only a job on several hosts loads Dask.
    from job_runner.cluster.hosts import run_on_several_hosts

    return run_on_several_hosts(role, lambda cluster: _run_here(settings, monitor, cluster))


def _run_here(settings: Settings, monitor: Monitor, cluster: Cluster | None = None) -> tuple[int, str]:
    # Imported late: NumPy and Arrow take longer to load than the settings take to check.
    if settings.each_window:
        from job_runner.windows import run
    elif settings.baseline_window:
        from job_runner.windows import run_baseline as run
    else:
        from job_runner.job import run

    _log.info("Performing analysis with %s", settings.describe())
    started = datetime.now(UTC)
    try:
        outcome = run(settings, monitor, cluster)
    except (MonitorError, Overtime) as stop:
        error = ScriptError(str(stop)) if isinstance(stop, Overtime) else stop
        if settings.history_path is not None:
            from reporting.history.folder import keep_failure

            keep_failure(settings, monitor.name, started, error.exit_code, error.message)
        raise error from None
    for note in outcome.notes:
        _log.warning("%s", note)
    violations = outcome.decision.violations.violations if outcome.decision else []
    for violation in violations[:_MOST_LINES]:
        _log.warning("%s %s: %s", violation.constraint_check_type, violation.subject, violation.description)
    if len(violations) > _MOST_LINES:
        _log.warning("... and %d more violations", len(violations) - _MOST_LINES)
    _log.info("Wrote %s to %s", ", ".join(outcome.files), settings.output_path)
    _log.info("%s", outcome.message)
    return outcome.exit_code, outcome.message


def _arrange_process(settings: Settings, message_path: str) -> None:
    # Numerical libraries have one thread each: the splits are the one level of parallelism.
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    # Arrow's own allocator holds more memory, and hands back what the next block then takes page by page.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    # Code of the user's may want pandas: scripts, a model's own inference.py, whatever is pickled.
    scripts = settings.record_preprocessor_script or settings.post_analytics_processor_script
    is_archive = (settings.model or "").endswith((".tar.gz", ".tgz"))
    if not (scripts or is_archive or settings.allow_pickled_model):
        leave_out_pandas()
        return
    # Imported late: most jobs have no scripts.
    from file_storage.scripts import watch_scripts

    def give_up(text: str) -> None:
        _log.error("%s", text)
        write_message(message_path, text)
        _exit(ScriptError.exit_code)

    watch_scripts(settings.script_timeout, give_up)


class _Masked(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        # Indented, so that no name of a file with a line break looks like a line of the log.
        return mask(super().format(record)).replace("\n", "\n    ")


def _start_log(level: str) -> None:
    logging.basicConfig(level=level, stream=sys.stderr, force=True)
    form = _Masked("%(asctime)s - %(name)s - %(levelname)s - %(message)s")
    logging.getLogger().handlers[0].setFormatter(form)
    for library in ("botocore", "boto3", "urllib3", "s3transfer"):
        # Their details are headers, signatures and answers that hold keys.
        logging.getLogger(library).setLevel(logging.INFO)


def _stop(signal_number: int, frame: FrameType | None) -> NoReturn:
    raise Stopped
