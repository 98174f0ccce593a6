"""Every variable and flag of a job: one frozen object, read once, all mistakes reported together.

Each variable of the container contract is also a flag of the console command (``dataset_source`` is
``--dataset-source``); the flag wins. ``docs/settings.md`` lists them all, and a test holds the two together.
"""

from __future__ import annotations

import argparse
import functools
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, tzinfo
from typing import Any, Literal, NoReturn, get_args, get_origin, get_type_hints

import contract
from contract.dataset_format import DatasetFormat, Shape
from contract.errors import ConfigurationError, wording
from contract.masking import learn, mask
from contract.schema import Mistakes, nearest
from contract.sink_addresses import SinkAddress
from contract.variables import Kind, Variable
from contract.window import Window, fill_in_start, folders_of, resolve_window

Rules = Literal["sound", "sagemaker"]
DEFAULT_MESSAGE_FILE = "/opt/ml/output/message"

_log = logging.getLogger(__name__)
_SECRET = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


def setting(text: str, kind: Kind = "text", default: str | None = None, **options: Any) -> Any:
    """Return a member of `Settings`: the other parameters are those of `Variable`.

    Unless `needs` says otherwise, every monitor has it; None gives it to every command.
    """
    options = {"name": "", "needs": "analysis", **options}
    return field(metadata={"variable": Variable(help=text, kind=kind, default=default, **options)})


# Of every command, and of those that offer something.
of_all = functools.partial(setting, needs=None)
of_labels = functools.partial(setting, needs="labels")
of_predictions = functools.partial(setting, needs="predictions")
of_configured = functools.partial(setting, needs="configuration")
of_scripted = functools.partial(setting, needs="script")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a job was told, checked. Paths are as given; a window is resolved to two instants.

    A member is one variable of the contract, in the order of ``--help``. `given` has the texts that were
    given, `own` the values of the monitor's own variables.
    """

    # What is read, how it is analysed, and what it is compared with.
    dataset_source: str = of_all(
        "File or directory with the data, nested folders included; local or s3://.",
        aliases=("dataset_source_path",),
        required=True,
        example="/opt/ml/processing/input/endpoint",
        defaults=(("configuration", "/opt/ml/processing/input/data"),),
    )
    dataset_format: DatasetFormat = setting(
        "How to read the data: csv, json, parquet or sagemakerCaptureJson, as JSON with options.",
        "format",
        required_with="table",
        example='{"csv":{"header":true}}',
    )
    rows: Mapping[str, Shape] | None = setting(
        "How the rows of a call stand in captured payloads: auto, row, list or columns, for both sides or "
        "as request=columns,response=list; default: auto, decided from the first calls.",
        "rows",
        example="request=row,response=list",
    )
    output_path: str = of_all(
        "Directory for statistics.json, constraints.json and constraint_violations.json.",
        required=True,
        example="/opt/ml/processing/output",
        defaults=(("configuration", "/opt/ml/processing/output"),),
    )
    analysis_config: str | None = of_configured(
        "analysis_config.json, or the folder that holds it; local or s3://.",
        default="/opt/ml/processing/input/config",
    )
    model: str | None = of_configured(
        "Model to ask: address of a model server, or a model file; local or s3://. Default: the endpoint "
        "that analysis_config names.",
        example="http://localhost:8080/invocations",
    )
    allow_pickled_model: bool = of_configured(
        "Load a pickled model. Whoever made the file then runs code in this job: only for files you trust.",
        default="Disabled",
    )
    attribution_drift_threshold: float | None = setting(
        "NDCG below which the order of features has drifted, from 0 to 1; default: the baseline's, else 0.9.",
        "share",
        example="0.9",
        needs="attributions",
    )
    max_runtime: float | None = setting(
        "Time after which no further row is explained; the result is then marked partial.",
        "seconds",
        example="PT30M",
        needs="attributions",
    )
    baseline_constraints: str | None = setting(
        "constraints.json of a baseline job (bias: or Clarify's analysis.json). With it, the job monitors a"
        " window."
    )
    baseline_statistics: str | None = setting(
        "statistics.json of a baseline job. With it, drift is measured."
    )
    rules: Rules = setting(
        "How to decide: sound (statistics) or sagemaker (as the original containers did).",
        default="sound",
    )
    record_preprocessor_script: str | None = of_scripted(
        "Python file with preprocess_handler(record) or preprocess_dataframe(df)."
    )
    post_analytics_processor_script: str | None = of_scripted(
        "Python file with postprocess_handler(), run after the analysis."
    )
    start_time: str | None = of_all(
        "Start of the window, ISO 8601, included.", example="2026-05-06T22:00:00Z"
    )
    end_time: str | None = of_all("End of the window, ISO 8601, excluded.", example="2026-05-06T23:00:00Z")
    window: Window | None = setting(
        "Length of the window as an ISO 8601 duration, when the orchestrator computes no times: PT1H is the"
        " last full hour.",
        example="PT1H",
        needs=None,
    )
    each_window: bool = setting(
        "Analyse each window from start_time to end_time by itself, in one pass over the data; window is"
        " then the length of each.",
        default="Disabled",
    )
    time_zone: tzinfo | None = setting(
        "Time zone of days and weeks, and of times without an offset: its IANA name; default: UTC.",
        "zone",
        example="America/New_York",
        needs=None,
    )
    gate_on: Literal["all", "last"] = setting(
        "Which of the windows of each_window the exit code is about.", default="all"
    )
    start_time_offset: str | None = of_all(
        "ISO 8601 duration added to the start of the window.", example="-P3D"
    )
    end_time_offset: str | None = of_all("ISO 8601 duration added to the end of the window.", example="-P1D")
    exclude_features: tuple[str, ...] = of_scripted(
        "Columns to leave out: names or zero-based positions, separated by commas.",
        "names",
        "",
        name="exclude_features_attribute",
        example="customer_id,0",
    )
    missing_values: tuple[str, ...] | None = setting(
        "Texts that mean a missing value among numbers, dates, labels, groups and segments, separated by "
        "commas or as a JSON list; default: NA, N/A, NULL, None, ? and the like (see reading.md).",
        "texts",
        example="NA,unknown,-999",
    )
    categorical_drift_method: Literal["LInfinity", "ChiSquared"] | None = setting(
        "How drift of text features is measured; copied into the suggested constraints.",
        needs="distributions",
    )
    segment_by: tuple[str, ...] = setting(
        "Columns, separated by commas, whose values divide the rows into segments analysed each by itself.",
        "names",
        "",
        example="carrier,origin",
        needs="segments",
    )

    # Where predictions and labels are found.
    problem_type: Literal["Regression", "BinaryClassification", "MulticlassClassification"] | None = setting(
        "What the model predicts.",
        required=True,
        example="BinaryClassification",
        needs="problem",
    )
    features_attribute: str | None = of_configured(
        "Where requests hold the features: JMESPath.", example="instances[*].features"
    )
    inference_attribute: str | None = of_predictions(
        "Column of the predicted value or label: name, zero-based position or JSON path.",
        example="prediction",
    )
    probability_attribute: str | None = of_predictions(
        "Column of the predicted probability: name, zero-based position or JSON path.", example="probability"
    )
    probability_threshold: float | None = of_predictions(
        "Probability from which a row counts as predicted positive; default 0.5.",
        "share",
        name="probability_threshold_attribute",
        example="0.5",
    )
    ground_truth_attribute: str | None = of_predictions(
        "Column of the label: name, zero-based position or JSON path; default: the merged ground truth.",
        example="label",
    )
    positive_label: str | None = setting(
        "Label that counts as positive in a binary problem; default 1.", example="1", needs="problem"
    )
    id_attribute: str | None = of_all(
        "Where rows hold the id by which labels are joined: column name, zero-based position or path; also "
        "the name of the id in tables of labels.",
        example="request_id",
    )
    time_attribute: str | None = setting(
        "Where rows hold the time by which a window selects them: column name, zero-based position or path;"
        " ISO 8601, or seconds, milliseconds or microseconds since 1970.",
        example="time",
    )
    ground_truth_source: str | None = of_labels(
        "Directory with labels to join by id with the rows of dataset_source; local or s3://.",
        required_with="joining",
        example="/opt/ml/processing/groundtruth",
    )
    human_review_label_attribute: str | None = of_labels(
        "Where the answers of human reviewers hold the label: dotted path within answerContent; default: "
        "their only value.",
        example="sentiment.label",
    )
    human_review_id_attribute: str | None = of_labels(
        "Where the input of human reviewers holds the id of the inference: dotted path within inputContent;"
        " default: inferenceId, else eventId, else the name of the human loop.",
        example="inferenceId",
    )
    ground_truth_id_column: str | None = of_labels(
        "Column with the id of the inference in labels that are CSV or Parquet; default: inferenceId, else "
        "eventId.",
        example="request_id",
    )
    ground_truth_label_column: str | None = of_labels(
        "Column with the label in labels that are CSV or Parquet; default: the only column beside the id.",
        example="was_late",
    )

    # What follows from what was found: exit codes, a new baseline, metrics, events, the page, the history.
    fail_on_violations: bool = setting("Exit with code 3 when there are violations.", default="Disabled")
    fail_on_undecided: bool = setting(
        "Exit with code 5 when something that was asked for could not be decided. Enabled by default where "
        "fail_on_violations or register_new_baseline is set.",
    )
    skip_check: bool = setting(
        "Compute and write everything, but compare with no baseline: there are no violations then.",
        default="Disabled",
    )
    register_new_baseline: str | None = setting(
        "Folder that gets statistics and constraints as the new baseline when the check passes or is "
        "skipped; local or s3://. The baseline before is kept in its folder previous.",
        example="/opt/ml/processing/baseline",
    )
    metrics_sinks: tuple[SinkAddress, ...] = setting(
        "Where metrics go besides CloudWatch files, separated by commas: prometheus-textfile:/folder/, "
        "pushgateway+http://host:9091, otlp+http://host:4318, cloudwatch:.",
        "sinks",
        "",
        example="pushgateway+http://pushgateway:9091",
    )
    event_sinks: tuple[SinkAddress, ...] = setting(
        "Who gets an event when there are violations, separated by commas: events+https://host/path "
        "(CloudEvents), eventbridge:bus-name.",
        "sinks",
        "",
        example="events+http://retraining:8080/events",
    )
    output_kms_key: str | None = of_all(
        "Key of AWS KMS that encrypts what is written to S3: id, alias or ARN; default: the bucket's.",
        example="alias/reports",
    )
    sink_timeout: float = setting("Time a sink has for all attempts.", "seconds", "PT30S")
    sink_headers_file: str | None = setting(
        "JSON file with HTTP headers by the host of a sink, ${NAME} standing for an environment variable; "
        "local or s3://.",
        example="/run/secrets/sink-headers.json",
    )
    report: bool = setting(
        "Write report.html, the page to look at, beside the JSON files; Disabled saves its time.",
        default="Enabled",
    )
    history_path: str | None = setting(
        "Folder that gets a small record of every run; any number of jobs may share it; local or s3://.",
        example="s3://bucket/model-monitor/history",
    )
    history_statistics: bool = setting(
        "Keep each run's statistics and baseline in the history too, so that monitor-backtest can check it "
        "again.",
        default="Enabled",
    )
    fail_on_sink_error: bool = setting(
        "Exit with code 4 when a sink did not get what was meant for it; the files are written all the same.",
        default="Disabled",
    )
    publish_cloudwatch_metrics: bool = setting("Write CloudWatch metric files.", default="Disabled")
    cloudwatch_metrics_directory: str = setting(
        "Directory for CloudWatch metric files.", default="/opt/ml/output/metrics/cloudwatch"
    )

    # How the job runs and reports.
    output_message_file: str = of_all(
        "File that gets the outcome in one sentence.", default=DEFAULT_MESSAGE_FILE
    )
    metric_time: datetime | None = setting(
        "Timestamp of published metrics, ISO 8601; default: start of the window.", "instant"
    )
    model_name: str | None = setting(
        "What people call the model: on pages, in the history and in events; default: the endpoint's name.",
        example="flight-delay",
    )
    sagemaker_endpoint_name: str | None = of_all("Endpoint name, a dimension of published metrics.")
    sagemaker_monitoring_schedule_name: str | None = of_all(
        "Schedule name, a dimension of published metrics."
    )
    analysis_type: str | None = of_all("Only checked: an image refuses a job meant for another.")
    workers: int | None = setting(
        "Number of splits read at once; default: the processors available.", "count"
    )
    dask_scheduler_address: str | None = setting(
        "Scheduler of a Dask cluster whose workers read the splits; they have this program, and see the "
        "same files.",
        example="scheduler.example:8786",
    )
    cluster_leader_address: str | None = setting(
        "Where pods of an Indexed Job of Kubernetes find the one with index 0, which leads them.",
        example="drift-0.drift:8786",
    )
    cluster_size: int | None = setting(
        "Number of pods of an Indexed Job, its completions; the leader waits for them before it ends.",
        "count",
    )
    cluster_wait: float = setting("How long hosts of a job wait for each other.", "seconds", "PT1M")
    script_timeout: float = setting(
        "Longest time of one call of a function of a script or inference.py.", "seconds", "PT1H"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = of_all(
        "Least severity that is logged.", default="INFO"
    )

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
            variable = replace(variable, name=variable.name or member.name)
            if types[member.name] is bool:
                variable = replace(variable, kind="switch")
            for choices in (types[member.name], *get_args(types[member.name])):
                if get_origin(choices) is Literal:
                    variable = replace(variable, kind="choice", choices=get_args(choices))
            yield member.name, variable


_MEMBERS: dict[str, Variable] = dict(_members())
VARIABLES: tuple[Variable, ...] = (
    *_MEMBERS.values(),
    *(Variable(name, "Accepted for compatibility; not used.", ignored=True) for name in _UNUSED),
)
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
        What it offers: members of `contract.variables.Offer`.
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


def _parser(program: Program) -> _Parser:
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


_WRITTEN: dict[Kind, str] = {"switch": "Enabled or Disabled.", "seconds": "An ISO 8601 duration, or seconds."}


def _help(variable: Variable, program: Program) -> str:
    parts = [variable.help]
    if variable.choices:
        parts.append(f"One of {', '.join(variable.choices)}.")
    elif written := _WRITTEN.get(variable.kind):
        parts.append(written)
    if default := program.default_of(variable):
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
    mistakes = Mistakes("", "settings")
    flags, unknown = _parser(program).parse_known_args(list(arguments))
    mistakes.add(*_unknown_arguments(unknown, program), *_near_misses(environment, program))
    given = _collect(vars(flags), environment, program)
    endpoints = (text for name, text in environment.items() if name.startswith("AWS_ENDPOINT_URL"))
    learn((*given.values(), *endpoints), (environment.get(name, "") for name in _SECRET))
    for name, text in given.items():
        # What the environment holds beyond UTF-8 reaches Python as halves of surrogate pairs.
        if text.encode(errors="ignore").decode() != text:
            raise ConfigurationError.of("setting.not_utf8", field=name, text=text)

    def read(variable: Variable) -> Any:
        text = given.get(variable.name, program.default_of(variable))
        return mistakes.attempt(variable.read, text)

    values = {member: read(variable) for member, variable in _MEMBERS.items()}
    own = {variable.name: read(variable) for variable in program.own_variables}
    mistakes.add(*_missing(given, environment, program))
    mistakes.add(*_contradictions(values, program))
    names = ("start_time", "end_time", "window", "start_time_offset", "end_time_offset")
    times = {name: values[name] for name in names}
    each, zone = values["each_window"], values["time_zone"] or UTC
    values["window"] = mistakes.attempt(
        resolve_window, **times, now=now or datetime.now(UTC), each=each, zone=zone
    )
    # Commands without the setting read captures.
    values["dataset_format"] = values["dataset_format"] or DatasetFormat("sagemakerCaptureJson")
    if values["fail_on_undecided"] is None:
        is_gate = values["fail_on_violations"] or values["register_new_baseline"] is not None
        values["fail_on_undecided"] = is_gate
    # Without its window, which is among the mistakes already, a path has nothing to be filled in with.
    if values["output_path"] and not mistakes.texts:
        path, window = values["output_path"], values["window"]
        if each:
            mistakes.attempt(folders_of, path, window.each(), zone)
        else:
            values["output_path"] = mistakes.attempt(fill_in_start, path, window, zone)
    mistakes.stop_if_any()
    return Settings(**values, validate_only=flags.validate, given=given, own=own)


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
        texts = [flags[variable.name], *map(environment.get, (variable.name, *variable.aliases))]
        # An empty variable is how many orchestrators say "not set".
        if text := next(filter(None, ((text or "").strip() for text in texts)), ""):
            given[variable.name] = text
    return given


def _missing(given: Mapping[str, str], environment: Mapping[str, str], program: Program) -> Iterator[str]:
    for variable in program.variables:
        if not program.requires(variable) or variable.name in given:
            continue
        if (upper := variable.name.upper()) in environment:
            yield wording("setting.upper_case", field=variable.name, upper=upper)
        else:
            example = variable.example
            yield wording("setting.missing", field=variable.name, flag=variable.flag, example=example)


def _contradictions(values: Mapping[str, Any], program: Program) -> Iterator[str]:
    """Yield which settings do not go together, or not with the command."""
    asked, served = values["analysis_type"], program.analysis_types
    if asked and served and asked.upper() not in served:
        yield wording("settings.other_image", asked=asked)
    if values["segment_by"] and values["rules"] == "sagemaker":
        yield wording("settings.no_segments")
    folder = values["register_new_baseline"]
    if folder is None:
        return
    if values["each_window"]:
        yield wording("new_baseline.each_window")
    if folder.endswith(".json"):
        yield wording("new_baseline.is_file", folder=folder)
    elif folder.rstrip("/") == (values["output_path"] or "").rstrip("/"):
        yield wording("new_baseline.is_output")
    elif not (values["baseline_constraints"] or values["baseline_statistics"] or values["skip_check"]):
        yield wording("new_baseline.nothing_before")


def _near_misses(environment: Mapping[str, str], program: Program) -> Iterator[str]:
    """Yield what looks like a misspelt setting; log settings in upper case, which others may have set."""
    names = {*VARIABLE_BY_NAME, *(variable.name for variable in program.own_variables)}
    # One short word is too near to what other programs' variables are called, such as mode.
    known = sorted(names - {"model", "report"})
    for name in environment:
        meant = name.lower()
        if name == meant and name not in names and (close := nearest(name, known, cutoff=0.84)):
            yield f"variable {name} is unknown: did you mean {close}?"
        # A single word is too likely somebody else's.
        if name != meant and "_" in name and meant in names and meant not in environment:
            _log.warning("Variable %s is set, but the name is lower-case: rename it to %s", name, meant)


def _unknown_arguments(arguments: list[str], program: Program) -> Iterator[str]:
    flags = [argument.partition("=")[0] for argument in arguments if argument.startswith("-")]
    known = [variable.flag for variable in program.variables if not variable.ignored]
    for flag in flags:
        close = nearest(flag, [*known, "--validate", "--version", "--help"])
        yield f"flag {flag} is unknown" + (f": did you mean {close}?" if close else "")
    if arguments and not flags:
        yield f"{arguments[0]!r} is no flag; values belong to flags, as in --output-path VALUE"
