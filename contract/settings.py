"""Every variable and flag of a job: one frozen object, read once, all mistakes reported together.

Each variable of the container contract is also a flag of the console command (``dataset_source`` is
``--dataset-source``); the flag wins. ``docs/settings.md`` lists them all, and a test holds the two together.
"""

import argparse
import contextlib
import functools
import json
import logging
import math
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any, Literal, NamedTuple, NoReturn, get_args, get_origin, get_type_hints

import contract
from contract import window as windows
from contract.dataset_format import DatasetFormat, Shape, parse_dataset_format, parse_rows
from contract.errors import ConfigurationError, topic, wording
from contract.masking import learn, mask
from contract.schema import Mistakes, nearest, plain_name
from contract.sink_addresses import SinkAddress, parse_sinks
from contract.window import Window, parse_duration, read_instant, read_zone, resolve_window
from contract.wording import as_float

# What a command offers. Shared variables say which of these they need, never which command.
Offer = Literal[
    "analysis",  # it is a monitor: every one offers this
    "table",  # rows of a format that has to be named
    "script",  # a user's script may change the rows
    "segments",  # rows can be divided into segments
    "predictions",  # columns of predictions and labels
    "labels",  # labels can come from elsewhere
    "configuration",  # analysis_config.json, and a model to ask
    "problem",  # the kind of model is told by problem_type
    "distributions",  # drift of single columns
    "clusters",  # decisions about rows that belong together
    "attributions",  # rows are explained
    "joining",  # captures and labels are joined, and nothing else
]
Kind = (
    Literal["text", "switch", "choice", "count", "share", "seconds"]
    | Literal["instant", "zone", "names", "texts", "sinks", "format", "rows", "k_of_n"]
)


class Variable(NamedTuple):
    """One thing a user can set.

    Parameters
    ----------
    name, aliases
        Of the environment variable; the flag is the name with hyphens.
    help, example
        For ``--help`` and messages; where they are empty, ``settings.toml`` has them.
    kind, choices
        How the text is read.
    needs
        What a command must offer to have it; empty for every command.
    default
        What stands for a text that is not given. `defaults` has those of commands that offer something.
    required
        Whether it must be set where there is no default; `required_with` asks that only of commands that
        offer something.
    ignored
        Accepted, because the originals' jobs carry it, and changes nothing.
    """

    name: str
    help: str = ""
    kind: Kind = "text"
    default: str | None = None
    choices: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    required: bool = False
    required_with: Offer | None = None
    ignored: bool = False
    example: str = ""
    needs: Offer | None = None
    defaults: tuple[tuple[Offer, str], ...] = ()

    @property
    def flag(self) -> str:
        """Return the flag of the console command."""
        return "--" + self.name.replace("_", "-")

    @property
    def told(self) -> tuple[str, str]:
        """Return what it is, and an example; empty where there is none."""
        shared = _shared().get(self.name, {})
        return self.help or shared.get("help", ""), self.example or shared.get("example", "")

    def read(self, text: str | None) -> Any:
        """Return the value that a text means; None for no text.

        Raises
        ------
        ConfigurationError
            Naming the variable and how to write it.
        """
        return None if text is None else _READERS[self.kind](self, text)


@functools.cache
def _shared() -> dict[str, dict[str, str]]:
    return tomllib.loads(Path(__file__).with_name("settings.toml").read_text("utf-8"))


def _switch(variable: Variable, text: str) -> bool:
    is_on = text.casefold() in ("enabled", "true", "1", "yes")
    if not is_on and text.casefold() not in ("disabled", "false", "0", "no"):
        raise ConfigurationError.of("setting.switch", field=variable.name, text=text)
    return is_on


def _choice(variable: Variable, text: str) -> str:
    found = next((choice for choice in variable.choices if choice.casefold() == text.casefold()), None)
    if found is None:
        known = " or ".join(variable.choices)
        raise ConfigurationError.of("setting.choice", field=variable.name, text=text, known=known)
    return found


def _count(variable: Variable, text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ConfigurationError.of("setting.count", field=variable.name, text=text)
    return int(text)


def _share(variable: Variable, text: str) -> float:
    number = as_float(text)
    if number is None or not 0.0 <= number <= 1.0:
        raise ConfigurationError.of("setting.share", field=variable.name, text=text, example=variable.told[1])
    return number


def _seconds(variable: Variable, text: str) -> float:
    example = text if text == variable.default else variable.told[1] or variable.default or ""
    seconds = as_float(text)
    if seconds is None:
        seconds = parse_duration(variable.name, text, example).total_seconds()
    elif variable.default and 100.0 * _seconds(variable, variable.default) <= seconds < math.inf:
        # May be milliseconds.
        raise ConfigurationError.of("setting.unit", field=variable.name, text=text, example=variable.default)
    if not 0.0 < seconds < math.inf:
        raise ConfigurationError.of("setting.seconds", field=variable.name, text=text, example=example)
    return seconds


def _names(variable: Variable, text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _texts(variable: Variable, text: str) -> tuple[str, ...]:
    if not text.startswith("["):
        return _names(variable, text)
    parts = None
    with contextlib.suppress(ValueError):
        parts = json.loads(text)
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise ConfigurationError.of("setting.texts", field=variable.name, text=text)
    return tuple(parts)


def _k_of_n(variable: Variable, text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([0-9]{1,4}) */ *([0-9]{1,4})", text)
    least, of = map(int, found.groups()) if found else (0, 0)
    if not 1 <= least <= of <= _MOST_WINDOWS:
        raise ConfigurationError.of("setting.k_of_n", field=variable.name, text=text, most=_MOST_WINDOWS)
    return least, of


# Windows that an alert may wait for.
_MOST_WINDOWS = 100
_READERS: dict[Kind, Callable[[Variable, str], Any]] = {
    "text": lambda _, text: text,
    "switch": _switch,
    "choice": _choice,
    "count": _count,
    "share": _share,
    "seconds": _seconds,
    "instant": lambda variable, text: read_instant(variable.name, text),
    "zone": lambda variable, text: read_zone(variable.name, text),
    "names": _names,
    "texts": _texts,
    "sinks": lambda variable, text: parse_sinks(variable.name, text),
    "format": lambda _, text: parse_dataset_format(text),
    "rows": lambda _, text: parse_rows(text),
    "k_of_n": _k_of_n,
}


# The settings of a job.


Rules = Literal["sound", "sagemaker"]
DEFAULT_MESSAGE_FILE = "/opt/ml/output/message"

_log = logging.getLogger(__name__)
# How variables end that hold secrets: errors of scripts, and of models, may repeat those.
_SECRET = ("password", "secret", "token", "apikey", "api_key", "access_key", "secret_key", "private_key")
# How variables end that hold a path, local or s3://.
_PATHS = ("source", "path", "constraints", "statistics", "script", "baseline", "directory", "file", "config")
# Names go to pages and metrics; an address among them loses its secrets.
_NAMES = {"model_name", "sagemaker_endpoint_name", "sagemaker_monitoring_schedule_name"}


def setting(kind: Kind = "text", default: str | None = None, **options: Any) -> Any:
    """Return a member of `Settings`: the other parameters are those of `Variable`.

    Unless `needs` says otherwise, every monitor has it; None gives it to every command. What it is, and an
    example, are in ``settings.toml``.
    """
    options = {"name": "", "needs": "analysis", **options}
    return field(metadata={"variable": Variable(kind=kind, default=default, **options)})


# Of every command, and of those that offer something.
of_all = functools.partial(setting, needs=None)
of_labels = functools.partial(setting, needs="labels")
of_predictions = functools.partial(setting, needs="predictions")
of_configured = functools.partial(setting, needs="configuration")
of_scripted = functools.partial(setting, needs="script")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Settings:
    """What a job was told, checked. Paths are as given; a window is resolved to two instants.

    A member is one variable of the contract, in the order of ``--help``. `given` has the texts that were
    given, `own` the values of the monitor's own variables.
    """

    # What is read, how it is analysed, and what it is compared with.
    dataset_source: str = of_all(
        aliases=("dataset_source_path",),
        required=True,
        defaults=(("configuration", "/opt/ml/processing/input/data"),),
    )
    dataset_format: DatasetFormat = setting("format", required_with="table")
    rows: Mapping[str, Shape] | None = setting("rows")
    output_path: str = of_all(required=True, defaults=(("configuration", "/opt/ml/processing/output"),))
    analysis_config: str | None = of_configured(default="/opt/ml/processing/input/config")
    model: str | None = of_configured()
    allow_pickled_model: bool = of_configured(default="Disabled")
    attribution_drift_threshold: float | None = setting("share", needs="attributions")
    max_runtime: float | None = setting("seconds", needs="attributions")
    baseline_constraints: str | None = setting()
    baseline_statistics: str | None = setting()
    rules: Rules = setting(default="sound")
    record_preprocessor_script: str | None = of_scripted()
    post_analytics_processor_script: str | None = of_scripted()
    start_time: str | None = of_all()
    end_time: str | None = of_all()
    window: Window | None = setting(needs=None)
    each_window: bool = setting(default="Disabled")
    baseline_window: str | None = setting(needs=None)
    time_zone: tzinfo | None = setting("zone", needs=None)
    gate_on: Literal["all", "last"] = setting(default="all")
    start_time_offset: str | None = of_all()
    end_time_offset: str | None = of_all()
    exclude_features: tuple[str, ...] = of_scripted("names", "", name="exclude_features_attribute")
    missing_values: tuple[str, ...] | None = setting("texts")
    folder_columns: tuple[str, ...] = of_all("names", "")
    categorical_drift_method: Literal["LInfinity", "ChiSquared"] | None = setting(needs="distributions")
    segment_by: tuple[str, ...] = setting("names", "", needs="segments")
    cluster_by: tuple[str, ...] = setting("names", "", needs="clusters")

    # Where predictions and labels are found.
    problem_type: Literal["Regression", "BinaryClassification", "MulticlassClassification"] | None = setting(
        required=True, needs="problem"
    )
    features_attribute: str | None = of_configured()
    inference_attribute: str | None = of_predictions()
    probability_attribute: str | None = of_predictions()
    probability_threshold: float | None = of_predictions("share", name="probability_threshold_attribute")
    ground_truth_attribute: str | None = of_predictions()
    positive_label: str | None = setting(needs="problem")
    id_attribute: str | None = of_all()
    time_attribute: str | None = setting()
    ground_truth_source: str | None = of_labels(required_with="joining")
    human_review_label_attribute: str | None = of_labels()
    human_review_id_attribute: str | None = of_labels()
    ground_truth_id_column: str | None = of_labels()
    ground_truth_label_column: str | None = of_labels()

    # What follows from what was found: exit codes, a new baseline, metrics, events, the page, the history.
    fail_on_violations: bool = setting(default="Disabled")
    fail_on_undecided: bool = setting()
    alert_after: tuple[int, int] | None = setting("k_of_n")
    skip_check: bool = setting(default="Disabled")
    register_new_baseline: str | None = setting()
    metrics_sinks: tuple[SinkAddress, ...] = setting("sinks", "")
    event_sinks: tuple[SinkAddress, ...] = setting("sinks", "")
    output_kms_key: str | None = of_all()
    sink_timeout: float = setting("seconds", "PT30S")
    sink_headers_file: str | None = setting()
    report: bool = setting(default="Enabled")
    history_path: str | None = setting()
    history_statistics: bool = setting(default="Enabled")
    fail_on_sink_error: bool = setting(default="Disabled")
    publish_cloudwatch_metrics: bool = setting(default="Disabled")
    cloudwatch_metrics_directory: str = setting(default="/opt/ml/output/metrics/cloudwatch")

    # How the job runs and reports.
    output_message_file: str = of_all(default=DEFAULT_MESSAGE_FILE)
    metric_time: datetime | None = setting("instant")
    model_name: str | None = setting()
    sagemaker_endpoint_name: str | None = of_all()
    sagemaker_monitoring_schedule_name: str | None = of_all()
    analysis_type: str | None = of_all()
    workers: int | None = setting("count")
    dask_scheduler_address: str | None = setting()
    cluster_leader_address: str | None = setting()
    cluster_size: int | None = setting("count")
    cluster_wait: float = setting("seconds", "PT1M")
    script_timeout: float = setting("seconds", "PT1H")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = of_all(default="INFO")

    validate_only: bool
    given: Mapping[str, str]
    own: Mapping[str, Any]

    @property
    def is_monitoring(self) -> bool:
        """Return whether the data is compared with a baseline."""
        has_baseline = self.baseline_constraints is not None or self.baseline_statistics is not None
        return has_baseline and not self.skip_check

    def describe(self) -> str:
        """Return the settings that were given, as text without anything secret, for the log."""
        return ", ".join(f"{name}={mask(text)}" for name, text in self.given.items())


_UNUSED = (
    "sagemaker_endpoint_datacapture_prefix",
    "monitoring_input_type",
    "detect_drift",
    "detect_outliers",
    "image_data",
    "report_enabled",
    "auto_ml_job_detail",
)


def _members() -> Iterator[tuple[str, Variable]]:
    """Yield the members that are variables; the type tells a switch, and the choices of a Literal."""
    types = get_type_hints(Settings)
    for member in fields(Settings):
        if variable := member.metadata.get("variable"):
            variable = variable._replace(name=variable.name or member.name)
            if types[member.name] is bool:
                variable = variable._replace(kind="switch")
            for choices in (types[member.name], *get_args(types[member.name])):
                if get_origin(choices) is Literal:
                    variable = variable._replace(kind="choice", choices=get_args(choices))
            yield member.name, variable


_MEMBERS: dict[str, Variable] = dict(_members())
VARIABLES: tuple[Variable, ...] = (*_MEMBERS.values(), *(Variable(name, ignored=True) for name in _UNUSED))
VARIABLE_BY_NAME: dict[str, Variable] = {
    name: variable for variable in VARIABLES for name in (variable.name, *variable.aliases)
}


@dataclass(frozen=True, kw_only=True)
class Program:
    """A console command that does a job.

    Parameters
    ----------
    program
        Its name.
    description
        One line for ``--help``.
    analysis_types
        Values of ``analysis_type`` it serves; empty for any.
    offers
        What it offers: members of `contract.settings.Offer`.
    own_variables
        What can be set for this command only; `Settings.own` has their values.
    """

    program: str
    description: str
    analysis_types: tuple[str, ...] = ()
    offers: frozenset[str] = frozenset()
    own_variables: tuple[Variable, ...] = ()

    @property
    def variables(self) -> tuple[Variable, ...]:
        """Return everything that can be set for it."""
        shared = tuple(one for one in VARIABLES if one.needs is None or one.needs in self.offers)
        return shared + self.own_variables

    def default_of(self, variable: Variable) -> str | None:
        """Return what stands for a variable that is not set, None for nothing."""
        found = (text for offer, text in variable.defaults if offer in self.offers)
        return next(found, variable.default)

    def requires(self, variable: Variable) -> bool:
        """Return whether the command cannot do without a variable."""
        needed = variable.required or variable.required_with in self.offers
        return needed and self.default_of(variable) is None


class _Parser(argparse.ArgumentParser):
    """An argument parser whose mistakes join the others instead of ending the process."""

    def error(self, message: str) -> NoReturn:
        said = message[0].upper() + message[1:]
        raise ConfigurationError.of("flags.wrong", said=said, program=self.prog)


def _parser(program: Program, *, with_help: bool) -> _Parser:
    """Return the parser of a console command: one flag per variable, plus --validate and --version."""
    told = topic("help") if with_help else {}
    parser = _Parser(
        prog=program.program,
        usage=f"{program.program} [--validate] [--FLAG VALUE ...]",
        description=program.description,
        allow_abbrev=False,
        epilog=told.get("epilog"),
    )
    parser.add_argument("--version", action="version", version=f"{program.program} {contract.__version__}")
    parser.add_argument("--validate", action="store_true", help=told.get("validate"))
    for variable in program.variables:
        text = argparse.SUPPRESS if variable.ignored or not with_help else _help(variable, program)
        flags = [variable.flag, *("--" + alias.replace("_", "-") for alias in variable.aliases)]
        name, text = variable.name, text.replace("%", "%%")
        parser.add_argument(*flags, dest=name, action="append", metavar="VALUE", help=text)
    return parser


_WRITTEN: dict[Kind, str] = {"switch": "Enabled or Disabled.", "seconds": "An ISO 8601 duration, or seconds."}


def _help(variable: Variable, program: Program) -> str:
    text, example = variable.told
    parts = [text]
    if variable.choices:
        parts.append(f"One of {', '.join(variable.choices)}.")
    elif written := _WRITTEN.get(variable.kind):
        parts.append(written)
    if default := program.default_of(variable):
        parts.append(f"Default: {default}.")
    served = program.analysis_types if variable.name == "analysis_type" else ()
    if example := example or next(iter(served), ""):
        parts.append(f"Example: {example}")
    return " ".join(parts)


def read_settings(
    arguments: Sequence[str], environment: Mapping[str, str], program: Program, *, now: datetime | None = None
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
    mistakes = Mistakes("", "settings")
    with_help = not {"-h", "--help"}.isdisjoint(arguments)
    # Values such as -P3D are joined to their flags: argparse takes them for flags themselves.
    joined = re.sub(r"(?<![^\0])(--[\w-]+)\0(?=-[^-])", r"\1=", "\0".join(arguments))
    parser = _parser(program, with_help=with_help)
    flags, unknown = parser.parse_known_args(joined.split("\0") if arguments else [])
    _note_unknown_arguments(unknown, program, mistakes)
    _note_near_misses(environment, program, mistakes)
    given = _collect(vars(flags), environment, program, mistakes)
    endpoints = (text for name, text in environment.items() if name.startswith("AWS_ENDPOINT_URL"))
    secret = (text for name, text in environment.items() if name.casefold().endswith(_SECRET))
    learn((*given.values(), *endpoints), secret)
    given |= {name: mask(given[name]) for name in _NAMES & given.keys()}
    for name, text in given.items():
        # What the environment holds beyond UTF-8 reaches Python as halves of surrogate pairs.
        if text.encode(errors="ignore").decode() != text:
            raise ConfigurationError.of("setting.not_utf8", field=name, text=text)
        scheme, is_address, place = text.partition("://")
        if not name.endswith(_PATHS):
            continue
        if scheme == "s3" and is_address:
            if not place.partition("/")[0]:
                mistakes.add("setting.no_bucket", field=name, text=text)
        elif (is_address and scheme.isalnum()) or text.startswith(("s3:", "arn:aws:")):
            mistakes.add("setting.scheme", field=name, text=text)

    def read(variable: Variable) -> Any:
        text = given.get(variable.name, program.default_of(variable))
        return mistakes.attempt(variable.read, text)

    values = {member: read(variable) for member, variable in _MEMBERS.items()}
    own = {variable.name: read(variable) for variable in program.own_variables}
    for variable in program.variables:
        if not program.requires(variable) or variable.name in given:
            continue
        if (upper := variable.name.upper()) in environment:
            mistakes.add("setting.upper_case", field=variable.name, upper=upper)
        else:
            _, example = variable.told
            mistakes.add("setting.missing", field=variable.name, flag=variable.flag, example=example)
    _note_contradictions(values, program, mistakes)
    names = ("start_time", "end_time", "window", "start_time_offset", "end_time_offset")
    times = {name: values[name] for name in names}
    each = "baseline_window" if values["baseline_window"] else "window" if values["each_window"] else ""
    zone, times["window"] = values["time_zone"] or UTC, values[each or "window"]
    values["window"] = mistakes.attempt(
        resolve_window, **times, now=now or datetime.now(UTC), each=each, zone=zone
    )
    # Commands without the setting read captures.
    values["dataset_format"] = values["dataset_format"] or DatasetFormat("sagemakerCaptureJson")
    if values["fail_on_undecided"] is None:
        values["fail_on_undecided"] = bool(values["fail_on_violations"] or values["register_new_baseline"])
    # Without its window, which is among the mistakes already, a path has nothing to be filled in with.
    if values["output_path"] and not mistakes.found:
        path, window = values["output_path"], values["window"]
        if each == "window":
            mistakes.attempt(windows.folders_of, path, window.each(), zone)
        else:
            values["output_path"] = mistakes.attempt(windows.fill_in_start, path, window, zone)
    mistakes.stop_if_any()
    _log_idle(given, values, program)
    return Settings(**values, validate_only=flags.validate, given=given, own=own)


def message_file(arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    """Return where the outcome goes, found even when the settings as a whole are unusable."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--output-message-file", nargs="?")
    given: str | None = parser.parse_known_args(arguments)[0].output_message_file
    return given or environment.get("output_message_file") or DEFAULT_MESSAGE_FILE


def _collect(
    flags: Mapping[str, Any], environment: Mapping[str, str], program: Program, mistakes: Mistakes
) -> dict[str, str]:
    given: dict[str, str] = {}
    for variable in program.variables:  # others are meant for another command of the same job definition
        by_variable = map(environment.get, (variable.name, *variable.aliases))
        for source in (flags[variable.name] or (), by_variable):
            # An empty variable is how many orchestrators say "not set".
            texts = sorted({(text or "").strip() for text in source} - {""})
            if len(texts) > 1:
                mistakes.add("setting.twice", field=variable.name, texts=" and ".join(map(repr, texts)))
            for text in texts:
                given.setdefault(variable.name, text)
    return given


def _note_contradictions(values: Mapping[str, Any], program: Program, mistakes: Mistakes) -> None:
    """Note which settings do not go together, or not with the command."""
    asked, served = values["analysis_type"], program.analysis_types
    if asked and served and asked.upper() not in served:
        mistakes.add("settings.other_image", field="analysis_type", asked=asked)
    if values["segment_by"] and values["rules"] == "sagemaker":
        mistakes.add("settings.no_segments", field="segment_by")
    if values["cluster_by"] and values["rules"] == "sagemaker":
        mistakes.add("settings.no_clusters", field="cluster_by")
    if values["alert_after"] and not values["history_path"]:
        mistakes.add("alert_after.no_history", field="alert_after")
    if values["alert_after"] and not any(values[name] for name in ("window", "start_time", "end_time")):
        mistakes.add("alert_after.no_window", field="alert_after")
    if values["baseline_window"]:
        beside = [name for name in ("window", "each_window") if values[name]]
        beside += ["rules=sagemaker"] if values["rules"] == "sagemaker" else []
        baselines = [name for name in ("baseline_constraints", "baseline_statistics") if values[name]]
        for other in beside + ([] if values["skip_check"] else baselines):
            mistakes.add("baseline_window.beside", field="baseline_window", other=other)
    if is_within(values["history_path"], values["dataset_source"]):
        mistakes.add("settings.history_in_source", field="history_path")
    for name in ("history_path", "register_new_baseline"):
        if sign := windows.DATE_FIELD.search(values[name] or ""):
            mistakes.add("settings.no_places", field=name, sign=sign[0])
    output = folder_of(values["output_path"] or "")
    for name in ("baseline_constraints", "baseline_statistics"):
        is_replaced = values[name] and not (values["skip_check"] or values["each_window"])
        if is_replaced and folder_of(_DOCUMENT.sub("", values[name]) or ".") == output:
            mistakes.add("settings.baseline_is_output", field=name)
    folder, field = values["register_new_baseline"], "register_new_baseline"
    if folder is None:
        return
    if values["each_window"]:
        mistakes.add("new_baseline.each_window", field=field)
    if folder.endswith(".json"):
        mistakes.add("new_baseline.is_file", field=field, folder=folder)
    elif folder_of(folder) == output:
        mistakes.add("new_baseline.is_output", field=field)
    elif not (values["baseline_constraints"] or values["baseline_statistics"] or values["skip_check"]):
        mistakes.add("new_baseline.nothing_before", field=field)


# What has no effect without one of some settings, or beside one.
_IDLE: tuple[tuple[str, Literal["without", "beside"], tuple[str, ...]], ...] = (
    ("cloudwatch_metrics_directory", "without", ("publish_cloudwatch_metrics",)),
    ("fail_on_sink_error", "without", ("metrics_sinks", "event_sinks", "history_path")),
    ("sink_timeout", "without", ("metrics_sinks", "event_sinks", "history_path")),
    ("gate_on", "without", ("each_window",)),
    ("history_statistics", "without", ("history_path",)),
    ("rows", "without", ("captures",)),
    ("features_attribute", "without", ("captures",)),
    ("ground_truth_id_column", "without", ("ground_truth_source",)),
    ("ground_truth_label_column", "without", ("ground_truth_source",)),
    ("human_review_id_attribute", "without", ("ground_truth_source",)),
    ("human_review_label_attribute", "without", ("ground_truth_source",)),
    ("alert_after", "beside", ("register_new_baseline",)),
    ("cluster_leader_address", "beside", ("dask_scheduler_address",)),
    ("probability_attribute", "beside", ("problem_type=Regression",)),
    ("positive_label", "beside", ("problem_type=MulticlassClassification", "problem_type=Regression")),
    ("probability_threshold_attribute", "beside", ("inference_attribute",)),
)


def _log_idle(given: Mapping[str, str], values: Mapping[str, Any], program: Program) -> None:
    """Log which of the given settings have no effect because of others."""
    chosen = dict(given.items() - {(one.name, program.default_of(one)) for one in program.variables})
    form, problem = values["dataset_format"], f"problem_type={values['problem_type']}"
    is_set = {**values, problem: True, "captures": form is None or form.kind.startswith("sagemaker")}
    for name, relation, others in _IDLE:
        there = [other for other in others if is_set.get(other)]
        if name in chosen and bool(there) == (relation == "beside"):
            told = " or ".join(there or others)
            _log.warning("%s", wording("settings.idle", field=name, relation=relation, others=told))


_DOCUMENT = re.compile(r"(^|(?<=/))(constraints|statistics|analysis)\.json$")


def folder_of(path: str) -> str:
    """Return the path of a folder, written in one way."""
    return path.rstrip("/") if "://" in path else os.path.abspath(path)  # noqa: PTH100 - takes .. out, too


def is_within(path: str | None, folder: str | None) -> bool:
    """Return whether a path is a folder, or below it."""
    return bool(path and folder) and f"{folder_of(path or '')}/".startswith(f"{folder_of(folder or '')}/")


# Without them a job compares or refuses nothing, and nobody else's variables are called so.
_OF_THE_VERDICT = {"baseline_constraints", "baseline_statistics", "register_new_baseline"} | {
    "fail_on_violations",
    "fail_on_undecided",
}


def _note_near_misses(environment: Mapping[str, str], program: Program, mistakes: Mistakes) -> None:
    """Note what looks like a misspelt setting; log settings in upper case, which others may have set."""
    names = {*VARIABLE_BY_NAME, *(variable.name for variable in program.own_variables)}
    # One short word is too near to what other programs' variables are called, such as mode.
    known = sorted(names - {"model", "report"})
    folded = {plain_name(variable): variable for variable in known}
    for name in environment:
        meant = name.lower()
        plain = folded.get(plain_name(name), name)
        if name == meant and name not in names and (close := nearest(name, known, cutoff=0.84)):
            mistakes.add("setting.near_miss", field=name, meant=close)
        elif plain != name and plain in _OF_THE_VERDICT and plain not in environment:
            mistakes.add("setting.near_miss", field=name, meant=plain)
        if meant not in names:
            continue
        if name != meant and meant not in environment:
            _log.warning("Variable %s is set, but the name is lower-case: rename it to %s", name, meant)
        # What the originals' variables say here and nowhere else is no news.
        shared = VARIABLE_BY_NAME.get(name)
        if shared and not shared.ignored and shared not in program.variables and environment[name].strip():
            _log.warning("Variable %s is set, but has no effect in %s", name, program.program)


def _note_unknown_arguments(arguments: list[str], program: Program, mistakes: Mistakes) -> None:
    flags = [argument.partition("=")[0] for argument in arguments if argument.startswith("-")]
    known = [variable.flag for variable in program.variables if not variable.ignored]
    for flag in flags:
        close = nearest(flag, [*known, "--validate", "--version", "--help"])
        mistakes.add("flags.unknown", field=flag, hint=f": did you mean {close}?" if close else "")
    if arguments and not flags:
        mistakes.add("flags.no_flag", text=arguments[0])
