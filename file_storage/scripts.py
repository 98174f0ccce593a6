"""The user's scripts: a preprocessor of records or data frames, and a post-analytics processor.

A preprocessor defines ``preprocess_handler(inference_record[, logger])``, called once per record, or
``preprocess_dataframe(df[, logger])``, called once per batch of columns. A post-analytics processor
defines ``postprocess_handler([logger])``, called once when the results are written. What a script logs
with the logger it is given reaches the job's log.
"""

import contextlib
import difflib
import functools
import hashlib
import inspect
import linecache
import logging
import os
import signal
import sys
import threading
import time
import traceback
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from contract.dataset import DATAFRAME_HANDLER, RECORD_HANDLER, Preprocessor
from contract.errors import MonitorError, Overtime, ScriptError, Stopped
from file_storage import storage

POST_HANDLER = "postprocess_handler"

# Scripts are written for one caller at a time: they keep counters and open files in globals.
script_lock = threading.RLock()

_log = logging.getLogger(__name__)
_user_log = logging.getLogger("user_script")

Handler = Callable[..., Any]

# What a script raises is its failure, but for these.
STOPS = (KeyboardInterrupt, Stopped)
_LONGEST_UNWINDING = 10.0

_exit = os._exit
# When the call of a script began that is under way, and what it is; scripts are called one at a time.
_call: tuple[float, str] | None = None
_overdue = ""


def handler_of(preprocessor: Preprocessor) -> Handler:
    """Return the function of a preprocessor, ready to be called with a record or a data frame."""
    return _handler(preprocessor.path, preprocessor.digest, preprocessor.function, 1)


def load_preprocessor(path: str) -> Preprocessor:
    """Load a preprocessor script, so that its mistakes show before any data is read.

    Raises
    ------
    ScriptError
        When the file cannot be read or executed, or defines neither function.
    """
    digest, found = _defined(path, "record_preprocessor_script", (RECORD_HANDLER, DATAFRAME_HANDLER))
    if len(found) > 1:
        _log.warning("%s defines both functions; using %s, the faster one", path, DATAFRAME_HANDLER)
    preprocessor = Preprocessor(path, "dataframe" if DATAFRAME_HANDLER in found else "record", digest)
    handler_of(preprocessor)
    return preprocessor


def load_postprocessor(path: str) -> Handler:
    """Return the `postprocess_handler` of a post-analytics script, ready to be called without arguments.

    Raises
    ------
    ScriptError
        When the file cannot be read or executed, or lacks the function.
    """
    digest, _ = _defined(path, "post_analytics_processor_script", (POST_HANDLER,))
    return _handler(path, digest, POST_HANDLER, 0)


def run_postprocessor(path: str, variables: Mapping[str, str] | None = None) -> None:
    """Load a post-analytics script and call its `postprocess_handler` once.

    Parameters
    ----------
    path
        Of the script, local or on S3.
    variables
        Environment variables to set first, such as ``output_path``: the handler takes no arguments, so
        the environment is where a script looks, however the job was told.

    Raises
    ------
    ScriptError
        When the file cannot be read or executed, lacks the function, or the function fails.
    """
    handler = load_postprocessor(path)
    os.environ.update(variables or {})
    call_script(path, POST_HANDLER, handler)


def watch_scripts(limit: float, give_up: Callable[[str], object]) -> None:
    """Have any call of a script that takes longer end the job, from a thread of its own.

    Parameters
    ----------
    limit
        Seconds.
    give_up
        Gets the message where the main thread, which gets `Overtime`, does not end the process soon.
    """

    def interrupt(number: int, frame: types.FrameType | None) -> NoReturn:
        raise Overtime(_overdue)

    def watch() -> None:
        global _overdue
        while True:
            time.sleep(min(1.0, limit / 4))
            call = _call
            if call is not None and time.monotonic() - call[0] > limit:
                break
        _overdue = f"{call[1]} did not return within {limit:g} s; mend it, or set a longer script_timeout."
        os.kill(os.getpid(), signal.SIGALRM)
        time.sleep(_LONGEST_UNWINDING)
        give_up(_overdue)

    signal.signal(signal.SIGALRM, interrupt)
    threading.Thread(target=watch, daemon=True).start()


def timed_call(path: str, name: str, function: Handler, *arguments: Any) -> Any:
    """Call a user's function under the eyes of `watch_scripts`; it cannot end the process by ``os._exit``."""
    global _call
    os._exit = _raise_exit
    _call = (time.monotonic(), f"{name} in {_shown(path)}")
    try:
        return function(*arguments)
    finally:
        _call = None


def call_script(
    path: str, name: str, function: Handler, *arguments: Any, where: Callable[[], str] | None = None
) -> Any:
    """Call a user's function as `timed_call` does.

    Parameters
    ----------
    path
        Of the script.
    name
        Of the function.
    where
        Tells what it is called with, such as ``"data/a.jsonl line 3: {...}"``.

    Raises
    ------
    ScriptError
        When the function fails.
    """
    try:
        return timed_call(path, name, function, *arguments)
    except (MonitorError, *STOPS):
        raise
    except BaseException as error:
        told = {"function": name, "occasion": f", for {where()}" if where else ""}
        raise ScriptError.of("script_file.failed", **_told(path, error), **told) from error


_process = os.getpid()


def _raise_exit(status: int) -> NoReturn:
    if os.getpid() != _process:
        _exit(status)  # a copy of this process that a library has made
    raise SystemExit(status)


def reject_result(preprocessor: Preprocessor, problem: str, where: str) -> ScriptError:
    """Return the error for an unusable return value; `problem` says what it was and what to do."""
    told = {"function": preprocessor.function, "problem": problem, "occasion": where}
    return ScriptError.of("script_file.result", file=preprocessor.path, **told)


@functools.cache
def _handler(path: str, digest: str, function: str, arguments: int) -> Handler:
    """Return the function with the logger bound when it takes one beside its `arguments`."""
    handler: Handler = getattr(_module(path, digest), function)
    try:
        signature = inspect.signature(handler)
    except (TypeError, ValueError):
        return handler  # written in C; takes what it takes
    if "logger" in list(signature.parameters)[arguments:]:
        return functools.partial(handler, logger=_user_log)
    with contextlib.suppress(TypeError):
        signature.bind(*range(arguments))
        return handler
    with contextlib.suppress(TypeError):
        signature.bind(*range(arguments + 1))
        return lambda *values: handler(*values, _user_log)
    told = {"function": function, "parameters": ", ".join(signature.parameters)}
    told["expected"] = f"{function}({'inference_record' if arguments else ''})"
    raise ScriptError.of("script_file.parameters", file=path, **told)


def _digest(source: bytes) -> str:
    return hashlib.sha256(source).hexdigest()[:16]


# Archives by the folder where they are unpacked.
archives: dict[str, str] = {}


def _shown(path: str) -> str:
    """Return a path as people know it: a file of an archive with the archive's name."""
    folder = next((each for each in archives if path.startswith(f"{each}/")), None)
    return path if folder is None else f"{archives[folder]}:{path[len(folder) + 1 :]}"


def load_module(path: str) -> types.ModuleType:
    """Run a user's file, once for each content, and return it as a module.

    Raises
    ------
    ScriptError
        When the file cannot be read or executed.
    """
    return _module(path, _digest(storage.read_bytes(path, ScriptError)))


@functools.cache
def _module(path: str, digest: str) -> types.ModuleType:
    source = storage.read_bytes(path, ScriptError)
    name = f"user_script_{_digest(path.encode() + digest.encode())}"
    module = types.ModuleType(name)
    module.__file__ = path
    # Dataclasses and pickling look a script's classes up by the name of their module.
    sys.modules[name] = module
    if storage.is_s3(path):
        # So that tracebacks show the source though it is no local file.
        text = source.decode(errors="replace")
        linecache.cache[path] = (len(text), None, text.splitlines(keepends=True), path)
    elif (folder := str(Path(path).resolve().parent)) not in sys.path:
        sys.path.append(folder)
    try:
        # The script is the user's own and runs with the user's rights: that is its purpose.
        run = compile(source, path, "exec")
        timed_call(path, "loading", lambda: exec(run, module.__dict__))  # noqa: S102 - see above
    except STOPS:
        raise
    except SyntaxError as error:
        text = f" ({error.text.strip()[:80]})" if error.text else ""
        told: dict[str, Any] = {"file": _shown(error.filename or path), "line": error.lineno, "text": text}
        details = "".join(traceback.format_exception_only(error))
        raise ScriptError.of("script_file.syntax", details, **told, problem=error.msg) from error
    except BaseException as error:
        raise ScriptError.of("script_file.not_loaded", **_told(path, error)) from error
    return module


def _defined(path: str, variable: str, wanted: tuple[str, ...]) -> tuple[str, list[str]]:
    """Return the digest of a script, and which of the functions that are wanted it defines, one at least."""
    digest = _digest(storage.read_bytes(path, ScriptError))
    module = _module(path, digest)
    if defined := [name for name in wanted if callable(getattr(module, name, None))]:
        return digest, defined
    functions = {name: value for name, value in vars(module).items() if inspect.isfunction(value)}
    found = [name for name, value in functions.items() if value.__module__ == module.__name__]
    close = [match for name in wanted for match in difflib.get_close_matches(name, found, 1)]
    handlers = [name for name in found if name in (RECORD_HANDLER, DATAFRAME_HANDLER, POST_HANDLER)]
    if handlers:
        fix = f"its {', '.join(handlers)} belongs into another setting."
    elif close:
        meant = difflib.get_close_matches(close[0], wanted, 1, cutoff=0)[0]
        fix = f"did you mean {meant} where it says {close[0]}?"
    else:
        fix = f"it defines {', '.join(found[:8]) or 'no function'}."
    told = {"field": variable, "wanted": " or ".join(wanted), "hint": fix}
    raise ScriptError.of("script_file.no_function", file=path, **told)


def _told(path: str, error: BaseException) -> dict[str, str]:
    """Return where in a script an error came from, what it says, and its traceback from the script on."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [number for number, frame in enumerate(frames) if frame.filename == path]
    text = " ".join(str(error).split())[:300]
    if isinstance(error, ModuleNotFoundError) and error.name:
        package = error.name.partition(".")[0]
        text += f"; install {package} in the image, or do without it (docs/models.md lists what is there)"
    listed = traceback.format_list(frames[places[0] if places else 0 :])
    details = ["Traceback (most recent call last):\n", *listed, *traceback.format_exception_only(error)]
    return {
        "file": _shown(path),
        "line": f" line {frames[places[-1]].lineno}" if places else "",
        "problem": f"{type(error).__name__}{': ' if text else ''}{text}",
        "details": "".join(details),
    }
