"""Every variable and flag of a job: one frozen object, read once, all mistakes reported together.

Each variable of the container contract is also a flag of the console command (``dataset_source`` is
``--dataset-source``); the flag wins. ``docs/settings.md`` lists them all.
"""

from __future__ import annotations

import argparse
import difflib
import json
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, Literal, NoReturn

import contract
from contract.dataset_format import DatasetFormat, Shape, parse_dataset_format, parse_rows
from contract.errors import ConfigurationError
from contract.masking import learn, mask
from contract.sink_addresses import SinkAddress, parse_sinks
from contract.variables import DEFAULT_MESSAGE_FILE, VARIABLE_BY_NAME, VARIABLES, Program, Variable
from contract.window import Window, fill_in_start, parse_duration, read_instant, resolve_window

# How the texts of single settings are read: numbers, durations, and what must go together.


def read_share(name: str, text: str | None, example: str) -> float | None:
    """Return the setting called `name`, a number from 0 to 1; None where it is not set.

    Raises
    ------
    ConfigurationError
        When it is no such number.
    """
    if text is None:
        return None
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0.0 <= number <= 1.0:
        raise ConfigurationError(f"{name} is {text!r}; use a number from 0 to 1, such as {example}")
    return number


def texts(name: str, text: str | None) -> tuple[str, ...] | None:
    """Return the setting called `name`, texts between commas or a JSON list; None where it is not set.

    Raises
    ------
    ConfigurationError
        When it begins like a list and is none.
    """
    if text is None:
        return None
    if not text.startswith("["):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    try:
        parts = json.loads(text)
    except ValueError:
        parts = None
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise ConfigurationError(
            f'{name} is {text!r}; write texts between commas, or a list such as ["NA","?"]'
        )
    return tuple(parts)


def duration_seconds(name: str, text: str | None, example: str) -> float | None:
    """Return the setting called `name`, a length of time, in seconds; None where it is not set.

    Raises
    ------
    ConfigurationError
        When it is no positive duration.
    """
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = parse_duration(name, text, example).total_seconds()
    if not 0.0 < seconds < math.inf:
        raise ConfigurationError(
            f"{name} is {text!r}; use a positive ISO 8601 duration such as {example}, or seconds"
        )
    return seconds


def gate_mistakes(values: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the settings of a gate (see `job_runner.gate`)."""
    folder = values["register_new_baseline"]
    if folder is None:
        return []
    if folder.endswith(".json"):
        return [f"register_new_baseline is {folder!r}, a file; name the folder that is to hold the baseline"]
    if _path(folder) == _path(values["output_path"] or ""):
        mistake = (
            "register_new_baseline and output_path are one folder, so a failing check would already have "
            "replaced the baseline; keep them apart"
        )
        return [mistake]
    has_baseline = values["baseline_constraints"] or values["baseline_statistics"]
    if not has_baseline and not values["skip_check"]:
        mistake = (
            "register_new_baseline needs baseline_constraints or baseline_statistics to check against; set "
            "skip_check=Enabled for the first baseline"
        )
        return [mistake]
    return []


def _path(text: str) -> str:
    return text.rstrip("/")


Rules = Literal["sound", "sagemaker"]

_log = logging.getLogger(__name__)
_SECRET = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


@dataclass(frozen=True)
class Settings:
    """What a job was told, checked. Paths are as given; a window is resolved to two instants.

    `given` has the texts that were given, `own` the values of the monitor's own variables.
    """

    dataset_source: str
    dataset_format: DatasetFormat
    rows: Mapping[str, Shape] | None
    output_path: str
    rules: Rules
    window: Window | None
    baseline_constraints: str | None
    baseline_statistics: str | None
    record_preprocessor_script: str | None
    post_analytics_processor_script: str | None
    exclude_features: tuple[str, ...]
    categorical_drift_method: Literal["LInfinity", "ChiSquared"] | None
    fail_on_violations: bool
    fail_on_undecided: bool
    skip_check: bool
    register_new_baseline: str | None
    metrics_sinks: tuple[SinkAddress, ...]
    event_sinks: tuple[SinkAddress, ...]
    output_kms_key: str | None
    sink_timeout: float
    sink_headers_file: str | None
    fail_on_sink_error: bool
    report: bool
    history_path: str | None
    history_statistics: bool
    publish_cloudwatch_metrics: bool
    cloudwatch_metrics_directory: str
    output_message_file: str
    metric_time: datetime | None
    sagemaker_endpoint_name: str | None
    sagemaker_monitoring_schedule_name: str | None
    segment_by: tuple[str, ...]
    missing_values: tuple[str, ...] | None
    analysis_config: str | None
    model: str | None
    allow_pickled_model: bool
    max_runtime: float | None
    script_timeout: float
    attribution_drift_threshold: float | None
    features_attribute: str | None
    problem_type: Literal["Regression", "BinaryClassification", "MulticlassClassification"] | None
    inference_attribute: str | None
    probability_attribute: str | None
    probability_threshold: float | None
    ground_truth_attribute: str | None
    positive_label: str | None
    id_attribute: str | None
    time_attribute: str | None
    ground_truth_source: str | None
    human_review_label_attribute: str | None
    human_review_id_attribute: str | None
    ground_truth_id_column: str | None
    ground_truth_label_column: str | None
    workers: int | None
    dask_scheduler_address: str | None
    cluster_leader_address: str | None
    cluster_size: int | None
    cluster_wait: float
    log_level: str
    validate_only: bool
    given: Mapping[str, str]
    own: Mapping[str, Any]

    @property
    def has_baseline(self) -> bool:
        """Return whether a baseline was given."""
        return self.baseline_constraints is not None or self.baseline_statistics is not None

    @property
    def is_monitoring(self) -> bool:
        """Return whether the data is compared with a baseline."""
        return self.has_baseline and not self.skip_check

    def describe(self) -> str:
        """Return the settings that were given, as text without anything secret, for the log."""
        return ", ".join(f"{name}={mask(text)}" for name, text in self.given.items())


class _Parser(argparse.ArgumentParser):
    """An argument parser whose mistakes join the others instead of ending the process."""

    def error(self, message: str) -> NoReturn:
        raise ConfigurationError(f"{message[0].upper()}{message[1:]}; see {self.prog} --help.")


def build_parser(program: Program) -> argparse.ArgumentParser:
    """Return the parser of a console command: one flag per variable, plus --validate and --version."""
    parser = _Parser(
        prog=program.program,
        usage=f"{program.program} [--validate] [--FLAG VALUE ...]",
        description=program.description,
        allow_abbrev=False,
        epilog="Every flag is also an environment variable of the name in docs/settings.md; the flag wins. "
        "Exit codes: 0 completed, 1 our fault, 2 input or configuration at fault, 3 violations and "
        "fail_on_violations, 4 not delivered and fail_on_sink_error, 5 not decided and fail_on_undecided.",
    )
    parser.add_argument("--version", action="version", version=f"{program.program} {contract.__version__}")
    parser.add_argument(
        "--validate",
        action="store_true",
        help="Check the settings, the baseline, the scripts and the first rows; write nothing.",
    )
    for variable in program.variables:
        text = argparse.SUPPRESS if variable.ignored else _help(variable, program)
        flags = [variable.flag, *("--" + alias.replace("_", "-") for alias in variable.aliases)]
        parser.add_argument(*flags, dest=variable.name, metavar="VALUE", help=text.replace("%", "%%"))
    return parser


def _help(variable: Variable, program: Program) -> str:
    parts = [variable.help]
    if variable.choices:
        parts.append(f"One of {', '.join(variable.choices)}.")
    elif variable.kind == "switch":
        parts.append("Enabled or Disabled.")
    if (default := program.default_of(variable)) is not None:
        parts.append(f"Default: {default}.")
    served = program.analysis_types if variable.name == "analysis_type" else ()
    if example := variable.example or next(iter(served), ""):
        parts.append(f"Example: {example}")
    return " ".join(parts)


def read_settings(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    program: Program,
    *,
    now: datetime | None = None,
) -> Settings:
    """Read and check all settings.

    Parameters
    ----------
    arguments
        Command-line arguments without the program name.
    environment
        The process environment.
    program
        The command.
    now
        The present, timezone-aware; windows given as durations end before it.

    Raises
    ------
    ConfigurationError
        With every mistake found, each naming the variable and the fix.
    """
    mistakes: list[str] = []
    flags, unknown = build_parser(program).parse_known_args(list(arguments))
    mistakes += _unknown_arguments(unknown, program)
    mistakes += _near_misses(environment, program)
    _name_upper_case(environment, program)
    given = _collect(vars(flags), environment, program)
    endpoints = (text for name, text in environment.items() if name.startswith("AWS_ENDPOINT_URL"))
    learn((*given.values(), *endpoints), (environment.get(name, "") for name in _SECRET))
    _require_text(given)
    values = {
        variable.name: _value(variable, given.get(variable.name), program, mistakes)
        for variable in (*VARIABLES, *program.own_variables)
    }
    mistakes += _missing(given, environment, program)
    mistakes += _not_served(values["analysis_type"], program.analysis_types)
    members = {
        **values,
        **_read_texts(values, mistakes, now or datetime.now(UTC)),
        "validate_only": flags.validate,
        "given": given,
        "own": {variable.name: values[variable.name] for variable in program.own_variables},
    }
    if mistakes:
        raise ConfigurationError(_report(mistakes))
    return Settings(**{member.name: members[member.name] for member in fields(Settings)})


def _read_texts(values: Mapping[str, Any], mistakes: list[str], now: datetime) -> dict[str, Any]:
    """Return the members of `Settings` that are more than a variable's text; adds to `mistakes`."""

    def attempt[**P, T](read: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T | None:
        try:
            return read(*arguments, **named)
        except ConfigurationError as error:
            mistakes.append(error.message.rstrip("."))
            return None

    def number(read: Callable[[str, str | None, str], float | None], name: str, example: str) -> float | None:
        return attempt(read, name, values[name], example)

    share, seconds = read_share, duration_seconds
    members: dict[str, Any] = {
        "dataset_format": attempt(_dataset_format, values["dataset_format"]),
        "rows": attempt(parse_rows, values["rows"]),
        "probability_threshold": number(share, "probability_threshold_attribute", "0.5"),
        "attribution_drift_threshold": number(share, "attribution_drift_threshold", "0.9"),
        "max_runtime": number(seconds, "max_runtime", "PT30M"),
        "sink_timeout": number(seconds, "sink_timeout", "PT30S"),
        "metrics_sinks": attempt(parse_sinks, "metrics_sinks", values["metrics_sinks"]),
        "event_sinks": attempt(parse_sinks, "event_sinks", values["event_sinks"]),
    }
    mistakes += gate_mistakes(values)
    if values["fail_on_undecided"] is None:
        is_gate = values["fail_on_violations"] or values["register_new_baseline"] is not None
        members["fail_on_undecided"] = is_gate
    members["script_timeout"] = number(seconds, "script_timeout", "PT1H")
    members["cluster_wait"] = number(seconds, "cluster_wait", "PT1M")
    members["exclude_features"] = _names(values["exclude_features_attribute"])
    members["segment_by"] = _names(values["segment_by"])
    members["missing_values"] = attempt(texts, "missing_values", values["missing_values"])
    if members["segment_by"] and values["rules"] == "sagemaker":
        mistakes.append("segment_by needs rules=sound, because the originals have no segments")
    members["window"] = attempt(
        resolve_window,
        values["start_time"],
        values["end_time"],
        values["window"],
        values["start_time_offset"],
        values["end_time_offset"],
        now,
    )
    # Without its window, which is among the mistakes already, a path has nothing to be filled in with.
    if values["output_path"] and not mistakes:
        members["output_path"] = attempt(fill_in_start, values["output_path"], members["window"])
    members["metric_time"] = attempt(read_instant, "metric_time", values["metric_time"])
    return members


def _dataset_format(text: str | None) -> DatasetFormat:
    # Commands without the setting read captures.
    return DatasetFormat("sagemakerCaptureJson") if text is None else parse_dataset_format(text)


def message_file(arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    """Return where the outcome goes, found even when the settings as a whole are unusable."""
    for position, argument in enumerate(arguments):
        if argument.startswith("--output-message-file="):
            return argument.partition("=")[2]
        if argument == "--output-message-file" and position + 1 < len(arguments):
            return arguments[position + 1]
    return environment.get("output_message_file") or DEFAULT_MESSAGE_FILE


def _collect(flags: Mapping[str, Any], environment: Mapping[str, str], program: Program) -> dict[str, str]:
    given: dict[str, str] = {}
    for variable in program.variables:  # others are meant for another command of the same job definition
        texts = [
            flags.get(variable.name),
            *(environment.get(name) for name in (variable.name, *variable.aliases)),
        ]
        # An empty variable is how many orchestrators say "not set".
        text = next((text for text in texts if text is not None and text.strip()), None)
        if text is not None:
            given[variable.name] = text.strip()
    return given


def _require_text(given: Mapping[str, str]) -> None:
    for name, text in given.items():
        try:
            text.encode()
        except UnicodeEncodeError:
            # What the environment holds beyond UTF-8 reaches Python as halves of surrogate pairs.
            raise ConfigurationError(
                f"{name} is {text!r}, which is not UTF-8 text; write it in UTF-8."
            ) from None


def _value(variable: Variable, text: str | None, program: Program, mistakes: list[str]) -> Any:
    text = program.default_of(variable) if text is None else text
    if text is None:
        return None
    if variable.kind == "switch":
        switch = _SWITCH.get(text.casefold())
        if switch is None:
            mistakes.append(f"{variable.name} is {text!r}; use Enabled or Disabled")
        return switch
    if variable.kind == "choice":
        choice = next((choice for choice in variable.choices if choice.casefold() == text.casefold()), None)
        if choice is None:
            mistakes.append(f"{variable.name} is {text!r}; use {' or '.join(variable.choices)}")
        return choice
    if variable.kind == "count":
        if not text.isdecimal() or int(text) < 1:
            mistakes.append(f"{variable.name} is {text!r}; use a whole number from 1")
            return None
        return int(text)
    return text


_SWITCH = {"enabled": True, "true": True, "1": True, "yes": True}
_SWITCH |= {"disabled": False, "false": False, "0": False, "no": False}


def _missing(given: Mapping[str, str], environment: Mapping[str, str], program: Program) -> list[str]:
    mistakes = []
    for variable in program.variables:
        if not program.requires(variable) or variable.name in given:
            continue
        hint = f"set it (or {variable.flag}), for example to {variable.example}"
        if (upper := variable.name.upper()) in environment:
            hint = f"{upper} is set, but the name is lower-case: rename it to {variable.name}"
        mistakes.append(f"{variable.name} is not set: {hint}")
    return mistakes


def _not_served(expected: str | None, served: tuple[str, ...]) -> list[str]:
    if not expected or not served or expected.upper() in served:
        return []
    return [f"analysis_type is {expected!r}, which this image does not serve; use the image made for it"]


def _near_misses(environment: Mapping[str, str], program: Program) -> list[str]:
    mistakes = []
    names = [*VARIABLE_BY_NAME, *(variable.name for variable in program.own_variables)]
    # One short word is too near to what other programs' variables are called, such as mode.
    known = [name for name in names if name not in ("model", "report")]
    for name in environment:
        # Variables of the contract are lower-case; anything else belongs to somebody else.
        if name in names or name != name.lower():
            continue
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.84)
        if close:
            mistakes.append(f"variable {name} is unknown: did you mean {close[0]}?")
    return mistakes


def _name_upper_case(environment: Mapping[str, str], program: Program) -> None:
    """Say which variables would be settings in lower case; a single word is too likely somebody else's."""
    names = {*VARIABLE_BY_NAME, *(variable.name for variable in program.own_variables)}
    for name in environment:
        meant = name.lower()
        if name != meant and "_" in name and meant in names and meant not in environment:
            _log.warning("Variable %s is set, but the name is lower-case: rename it to %s", name, meant)


def _unknown_arguments(arguments: list[str], program: Program) -> list[str]:
    mistakes = [_unknown_flag(argument, program) for argument in arguments if argument.startswith("-")]
    if arguments and not mistakes:
        mistakes.append(f"{arguments[0]!r} is no flag; values belong to flags, as in --output-path VALUE")
    return mistakes


def _unknown_flag(argument: str, program: Program) -> str:
    flag = argument.partition("=")[0]
    names = [variable.flag for variable in program.variables if not variable.ignored]
    close = difflib.get_close_matches(flag, [*names, "--validate", "--version", "--help"], n=1)
    return f"flag {flag} is unknown" + (f": did you mean {close[0]}?" if close else "")


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def _report(mistakes: list[str]) -> str:
    unique = list(dict.fromkeys(mistakes))
    if len(unique) == 1:
        return _sentence(unique[0])
    numbered = "; ".join(f"({i}) {text.rstrip('.')}" for i, text in enumerate(unique, start=1))
    return _sentence(f"{len(unique)} settings are wrong: {numbered}")


def _sentence(text: str) -> str:
    return text if text[-1] in ".?" else f"{text}."
