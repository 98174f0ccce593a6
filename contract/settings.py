"""Every variable and flag of a job: one frozen object, read once, all mistakes reported together.

Each variable of the container contract is also a flag of the console command (``dataset_source`` is
``--dataset-source``); the flag wins. ``docs/settings.md`` lists them all.
"""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, NoReturn

from contract import setting_values
from contract.datasets.format import DatasetFormat, parse_dataset_format
from contract.datasets.window import Window, fill_in_start, resolve_window
from contract.errors import ConfigurationError
from contract.sinks.addresses import SinkAddress, mask, parse_sinks
from contract.variables import DEFAULT_MESSAGE_FILE, VARIABLE_BY_NAME, VARIABLES, Variable

Rules = Literal["sound", "sagemaker"]


@dataclass(frozen=True)
class Settings:
    """What a job was told, checked. Paths are as given; a window is resolved to two instants."""

    dataset_source: str
    dataset_format: DatasetFormat
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
    skip_check: bool
    register_new_baseline: str | None
    metrics_sinks: tuple[SinkAddress, ...]
    event_sinks: tuple[SinkAddress, ...]
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
    analysis_config: str | None
    model: str | None
    allow_pickled_model: bool
    max_runtime: float | None
    attribution_drift_threshold: float | None
    features_attribute: str | None
    problem_type: Literal["Regression", "BinaryClassification", "MulticlassClassification"] | None
    inference_attribute: str | None
    probability_attribute: str | None
    probability_threshold: float | None
    ground_truth_attribute: str | None
    positive_label: str | None
    ground_truth_source: str | None
    human_review_label_attribute: str | None
    human_review_id_attribute: str | None
    workers: int | None
    dask_scheduler_address: str | None
    cluster_leader_address: str | None
    cluster_size: int | None
    cluster_wait: float
    log_level: str
    validate_only: bool
    given: Mapping[str, str]

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


def build_parser(program: str, description: str, version: str) -> argparse.ArgumentParser:
    """Return the parser of a console command: one flag per variable, plus --validate and --version."""
    parser = _Parser(
        prog=program,
        usage=f"{program} [--validate] [--FLAG VALUE ...]",
        description=description,
        allow_abbrev=False,
        epilog="Every flag is also an environment variable of the name in docs/settings.md; the flag wins. "
        "Exit codes: 0 completed, 1 our fault, 2 input or configuration at fault, 3 violations and "
        "fail_on_violations, 4 not delivered and fail_on_sink_error.",
    )
    parser.add_argument("--version", action="version", version=f"{program} {version}")
    parser.add_argument(
        "--validate",
        action="store_true",
        help="Check the settings, the baseline, the scripts and the first rows; write nothing.",
    )
    for variable in VARIABLES:
        if not variable.concerns(program):
            continue
        text = argparse.SUPPRESS if variable.ignored else _help(variable, program)
        flags = [variable.flag, *("--" + alias.replace("_", "-") for alias in variable.aliases)]
        parser.add_argument(*flags, dest=variable.name, metavar="VALUE", help=text.replace("%", "%%"))
    return parser


def _help(variable: Variable, program: str) -> str:
    parts = [variable.help]
    if variable.choices:
        parts.append(f"One of {', '.join(variable.choices)}.")
    elif variable.kind == "switch":
        parts.append("Enabled or Disabled.")
    if (default := variable.default_for(program)) is not None:
        parts.append(f"Default: {default}.")
    if variable.example:
        parts.append(f"Example: {variable.example}")
    return " ".join(parts)


def read_settings(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    parser: argparse.ArgumentParser,
    *,
    now: datetime | None = None,
    analysis_types: tuple[str, ...] = (),
) -> Settings:
    """Read and check all settings.

    Parameters
    ----------
    arguments
        Command-line arguments without the program name.
    environment
        The process environment.
    parser
        From `build_parser`.
    now
        The present, timezone-aware; windows given as durations end before it.
    analysis_types
        Values of ``analysis_type`` this image serves.

    Raises
    ------
    ConfigurationError
        With every mistake found, each naming the variable and the fix.
    """
    mistakes: list[str] = []
    flags, unknown = parser.parse_known_args(list(arguments))
    mistakes += [_unknown_flag(argument, parser.prog) for argument in unknown if argument.startswith("-")]
    if unknown and not mistakes:
        mistakes.append(f"{unknown[0]!r} is no flag; values belong to flags, as in --output-path VALUE")
    mistakes += _near_misses(environment)
    given = _collect(vars(flags), environment, parser.prog)
    _require_text(given)
    values = {
        variable.name: _value(variable, given.get(variable.name), parser.prog, mistakes)
        for variable in VARIABLES
    }
    mistakes += _missing(given, environment, parser.prog)
    expected = values["analysis_type"]
    if expected and analysis_types and expected.upper() not in analysis_types:
        mistakes.append(
            f"analysis_type is {expected!r}, which this image does not serve; use the image made for it"
        )
    dataset_format = _attempt(mistakes, parse_dataset_format, values["dataset_format"])
    probability_threshold = _attempt(
        mistakes, setting_values.probability, values["probability_threshold_attribute"]
    )
    drift_threshold = _attempt(
        mistakes, setting_values.drift_threshold, values["attribution_drift_threshold"]
    )
    max_runtime = _attempt(mistakes, setting_values.max_runtime, values["max_runtime"])
    sink_timeout = _attempt(mistakes, setting_values.sink_timeout, values["sink_timeout"])
    metrics_sinks = _attempt(mistakes, parse_sinks, "metrics_sinks", values["metrics_sinks"])
    event_sinks = _attempt(mistakes, parse_sinks, "event_sinks", values["event_sinks"])
    mistakes += setting_values.gate_mistakes(values)
    cluster_wait = _attempt(mistakes, setting_values.cluster_wait, values["cluster_wait"])
    segment_by = _names(values["segment_by"])
    if segment_by and values["rules"] == "sagemaker":
        mistakes.append("segment_by needs rules=sound, because the originals have no segments")
    window = _attempt(
        mistakes,
        resolve_window,
        values["start_time"],
        values["end_time"],
        values["window"],
        values["start_time_offset"],
        values["end_time_offset"],
        now or datetime.now(UTC),
    )
    # Without its window, which is among the mistakes already, a path has nothing to be filled in with.
    if values["output_path"] and not mistakes:
        values["output_path"] = _attempt(mistakes, fill_in_start, values["output_path"], window)
    metric_time = _attempt(mistakes, setting_values.instant, values["metric_time"])
    if mistakes:
        raise ConfigurationError(_report(mistakes))
    return Settings(
        dataset_source=values["dataset_source"],
        # Commands without the setting read captures.
        dataset_format=dataset_format or DatasetFormat("sagemakerCaptureJson"),
        output_path=values["output_path"],
        rules=values["rules"],
        window=window,
        baseline_constraints=values["baseline_constraints"],
        baseline_statistics=values["baseline_statistics"],
        record_preprocessor_script=values["record_preprocessor_script"],
        post_analytics_processor_script=values["post_analytics_processor_script"],
        exclude_features=_names(values["exclude_features_attribute"]),
        categorical_drift_method=values["categorical_drift_method"],
        fail_on_violations=values["fail_on_violations"],
        skip_check=bool(values["skip_check"]),
        register_new_baseline=values["register_new_baseline"],
        metrics_sinks=metrics_sinks or (),
        event_sinks=event_sinks or (),
        sink_timeout=sink_timeout,
        sink_headers_file=values["sink_headers_file"],
        fail_on_sink_error=bool(values["fail_on_sink_error"]),
        report=bool(values["report"]),
        history_path=values["history_path"],
        history_statistics=bool(values["history_statistics"]),
        publish_cloudwatch_metrics=values["publish_cloudwatch_metrics"],
        cloudwatch_metrics_directory=values["cloudwatch_metrics_directory"],
        output_message_file=values["output_message_file"],
        metric_time=metric_time,
        sagemaker_endpoint_name=values["sagemaker_endpoint_name"],
        sagemaker_monitoring_schedule_name=values["sagemaker_monitoring_schedule_name"],
        segment_by=segment_by,
        analysis_config=values["analysis_config"],
        model=values["model"],
        allow_pickled_model=values["allow_pickled_model"],
        max_runtime=max_runtime,
        attribution_drift_threshold=drift_threshold,
        features_attribute=values["features_attribute"],
        problem_type=values["problem_type"],
        inference_attribute=values["inference_attribute"],
        probability_attribute=values["probability_attribute"],
        probability_threshold=probability_threshold,
        ground_truth_attribute=values["ground_truth_attribute"],
        positive_label=values["positive_label"],
        ground_truth_source=values["ground_truth_source"],
        human_review_label_attribute=values["human_review_label_attribute"],
        human_review_id_attribute=values["human_review_id_attribute"],
        workers=values["workers"],
        dask_scheduler_address=values["dask_scheduler_address"],
        cluster_leader_address=values["cluster_leader_address"],
        cluster_size=values["cluster_size"],
        cluster_wait=cluster_wait or 0.0,
        log_level=values["log_level"],
        validate_only=flags.validate,
        given=given,
    )


def message_file(arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    """Return where the outcome goes, found even when the settings as a whole are unusable."""
    for position, argument in enumerate(arguments):
        if argument.startswith("--output-message-file="):
            return argument.partition("=")[2]
        if argument == "--output-message-file" and position + 1 < len(arguments):
            return arguments[position + 1]
    return environment.get("output_message_file") or DEFAULT_MESSAGE_FILE


def _collect(flags: Mapping[str, Any], environment: Mapping[str, str], program: str) -> dict[str, str]:
    given: dict[str, str] = {}
    for variable in VARIABLES:
        if not variable.concerns(program):
            continue  # meant for another command of the same job definition
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


def _value(variable: Variable, text: str | None, program: str, mistakes: list[str]) -> Any:
    text = variable.default_for(program) if text is None else text
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


def _missing(given: Mapping[str, str], environment: Mapping[str, str], program: str) -> list[str]:
    mistakes = []
    for variable in VARIABLES:
        if not variable.is_required(program) or variable.name in given:
            continue
        hint = f"set it (or {variable.flag}), for example to {variable.example}"
        if (upper := variable.name.upper()) in environment:
            hint = f"{upper} is set, but the name is lower-case: rename it to {variable.name}"
        mistakes.append(f"{variable.name} is not set: {hint}")
    return mistakes


def _near_misses(environment: Mapping[str, str]) -> list[str]:
    mistakes = []
    # One short word is too near to what other programs' variables are called, such as mode.
    known = [name for name in VARIABLE_BY_NAME if name not in ("model", "report")]
    for name in environment:
        # Variables of the contract are lower-case; anything else belongs to somebody else.
        if name in VARIABLE_BY_NAME or name != name.lower():
            continue
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.84)
        if close:
            mistakes.append(f"variable {name} is unknown: did you mean {close[0]}?")
    return mistakes


def _unknown_flag(argument: str, program: str) -> str:
    flag = argument.partition("=")[0]
    names = [variable.flag for variable in VARIABLES if variable.concerns(program) and not variable.ignored]
    close = difflib.get_close_matches(flag, [*names, "--validate", "--version", "--help"], n=1)
    return f"flag {flag} is unknown" + (f": did you mean {close[0]}?" if close else "")


def _attempt[**P, T](mistakes: list[str], read: Any, *arguments: Any) -> Any:
    if arguments[0] is None and len(arguments) == 1:
        return None
    try:
        return read(*arguments)
    except ConfigurationError as error:
        mistakes.append(error.message.rstrip("."))
        return None


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def _report(mistakes: list[str]) -> str:
    unique = list(dict.fromkeys(mistakes))
    if len(unique) == 1:
        return unique[0] + ("" if unique[0][-1] in ".?" else ".")
    numbered = "; ".join(f"({i}) {text.rstrip('.')}" for i, text in enumerate(unique, start=1))
    return f"{len(unique)} settings are wrong: {numbered}."
