"""The table of everything a user can set: one row per variable of the container contract.

`contract.settings` reads them; ``docs/settings.md`` lists them, and a test holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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
    "attributions",  # rows are explained
    "joining",  # captures and labels are joined, and nothing else
]


@dataclass(frozen=True)
class Variable:
    """One thing a user can set.

    Parameters
    ----------
    name, aliases
        Of the environment variable; the flag is the name with hyphens.
    help, example
        For ``--help`` and messages.
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
    help: str
    kind: Literal["text", "switch", "choice", "count"] = "text"
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
        What it offers: members of `Offer`.
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


# What is read, how it is analysed, and what it is compared with.


VARIABLES_ANALYSIS: tuple[Variable, ...] = (
    Variable(
        "dataset_source",
        "File or directory with the data, nested folders included; local or s3://.",
        aliases=("dataset_source_path",),
        required=True,
        example="/opt/ml/processing/input/endpoint",
        defaults=(("configuration", "/opt/ml/processing/input/data"),),
    ),
    Variable(
        "dataset_format",
        "How to read the data: csv, json, parquet or sagemakerCaptureJson, as JSON with options.",
        required_with="table",
        example='{"csv":{"header":true}}',
        needs="analysis",
    ),
    Variable(
        "rows",
        "How the rows of a call stand in captured payloads: auto, row, list or columns, for both sides or as "
        "request=columns,response=list; default: auto, decided from the first calls.",
        example="request=row,response=list",
        needs="analysis",
    ),
    Variable(
        "output_path",
        "Directory for statistics.json, constraints.json and constraint_violations.json.",
        required=True,
        example="/opt/ml/processing/output",
        defaults=(("configuration", "/opt/ml/processing/output"),),
    ),
    Variable(
        "analysis_config",
        "analysis_config.json, or the folder that holds it; local or s3://.",
        needs="configuration",
        default="/opt/ml/processing/input/config",
    ),
    Variable(
        "model",
        "Model to ask: address of a model server, or a model file; local or s3://. Default: the endpoint "
        "that analysis_config names.",
        needs="configuration",
        example="http://localhost:8080/invocations",
    ),
    Variable(
        "allow_pickled_model",
        "Load a pickled model. Whoever made the file then runs code in this job: only for files you trust.",
        kind="switch",
        default="Disabled",
        needs="configuration",
    ),
    Variable(
        "max_runtime",
        "Time after which no further row is explained, as an ISO 8601 duration or in seconds; the result is "
        "then marked partial.",
        needs="attributions",
        example="PT30M",
    ),
    Variable(
        "attribution_drift_threshold",
        "NDCG below which the order of features has drifted, from 0 to 1; default: the baseline's, else 0.9.",
        needs="attributions",
        example="0.9",
    ),
    Variable(
        "baseline_constraints",
        "constraints.json of a baseline job (bias: or Clarify's analysis.json). With it, the job monitors a "
        "window.",
        needs="analysis",
    ),
    Variable(
        "baseline_statistics",
        "statistics.json of a baseline job. With it, drift is measured.",
        needs="analysis",
    ),
    Variable(
        "rules",
        "How to decide: sound (statistics) or sagemaker (as the original containers did).",
        kind="choice",
        choices=("sound", "sagemaker"),
        default="sound",
        needs="analysis",
    ),
    Variable(
        "record_preprocessor_script",
        "Python file with preprocess_handler(record) or preprocess_dataframe(df).",
        needs="script",
    ),
    Variable(
        "post_analytics_processor_script",
        "Python file with postprocess_handler(), run after the analysis.",
        needs="script",
    ),
    Variable("start_time", "Start of the window, ISO 8601, included.", example="2026-05-06T22:00:00Z"),
    Variable("end_time", "End of the window, ISO 8601, excluded.", example="2026-05-06T23:00:00Z"),
    Variable(
        "window",
        "Length of the window as an ISO 8601 duration, when the orchestrator computes no times: "
        "PT1H is the last full hour.",
        example="PT1H",
    ),
    Variable("start_time_offset", "ISO 8601 duration added to the start of the window.", example="-P3D"),
    Variable("end_time_offset", "ISO 8601 duration added to the end of the window.", example="-P1D"),
    Variable(
        "exclude_features_attribute",
        "Columns to leave out: names or zero-based positions, separated by commas.",
        example="customer_id,0",
        needs="script",
    ),
    Variable(
        "missing_values",
        "Texts that mean a missing value among numbers, dates, labels, groups and segments, separated by "
        "commas or as a JSON list; default: NA, N/A, NULL, None, ? and the like (see reading.md).",
        example="NA,unknown,-999",
        needs="analysis",
    ),
    Variable(
        "categorical_drift_method",
        "How drift of text features is measured; copied into the suggested constraints.",
        kind="choice",
        choices=("LInfinity", "ChiSquared"),
        needs="distributions",
    ),
    Variable(
        "segment_by",
        "Columns, separated by commas, whose values divide the rows into segments analysed each by itself.",
        example="carrier,origin",
        needs="segments",
    ),
)


# Where predictions and labels are found.


VARIABLES_PREDICTIONS: tuple[Variable, ...] = (
    Variable(
        "problem_type",
        "What the model predicts.",
        kind="choice",
        choices=("Regression", "BinaryClassification", "MulticlassClassification"),
        needs="problem",
        required=True,
        example="BinaryClassification",
    ),
    Variable(
        "features_attribute",
        "Where requests hold the features: JMESPath.",
        needs="configuration",
        example="instances[*].features",
    ),
    Variable(
        "inference_attribute",
        "Column of the predicted value or label: name, zero-based position or JSON path.",
        needs="predictions",
        example="prediction",
    ),
    Variable(
        "probability_attribute",
        "Column of the predicted probability: name, zero-based position or JSON path.",
        needs="predictions",
        example="probability",
    ),
    Variable(
        "probability_threshold_attribute",
        "Probability from which a row counts as predicted positive; default 0.5.",
        needs="predictions",
        example="0.5",
    ),
    Variable(
        "ground_truth_attribute",
        "Column of the label: name, zero-based position or JSON path; default: the merged ground truth.",
        needs="predictions",
        example="label",
    ),
    Variable(
        "positive_label",
        "Label that counts as positive in a binary problem; default 1.",
        needs="problem",
        example="1",
    ),
    Variable(
        "id_attribute",
        "Where rows hold the id by which labels are joined: column name, zero-based position or path; also "
        "the name of the id in tables of labels.",
        example="request_id",
    ),
    Variable(
        "time_attribute",
        "Where rows hold the time by which a window selects them: column name, zero-based position or path; "
        "ISO 8601, or seconds, milliseconds or microseconds since 1970.",
        needs="analysis",
        example="time",
    ),
    Variable(
        "ground_truth_source",
        "Directory with labels to join by id with the rows of dataset_source; local or s3://.",
        needs="labels",
        required_with="joining",
        example="/opt/ml/processing/groundtruth",
    ),
    Variable(
        "human_review_label_attribute",
        "Where the answers of human reviewers hold the label: dotted path within answerContent; default: "
        "their only value.",
        needs="labels",
        example="sentiment.label",
    ),
    Variable(
        "human_review_id_attribute",
        "Where the input of human reviewers holds the id of the inference: dotted path within inputContent; "
        "default: inferenceId, else eventId, else the name of the human loop.",
        needs="labels",
        example="inferenceId",
    ),
    Variable(
        "ground_truth_id_column",
        "Column with the id of the inference in labels that are CSV or Parquet; default: inferenceId, else "
        "eventId.",
        needs="labels",
        example="request_id",
    ),
    Variable(
        "ground_truth_label_column",
        "Column with the label in labels that are CSV or Parquet; default: the only column beside the id.",
        needs="labels",
        example="was_late",
    ),
)


# What follows from what was found: exit codes, a new baseline, metrics, events, the page, the history.


VARIABLES_RESULTS: tuple[Variable, ...] = (
    Variable(
        "fail_on_violations",
        "Exit with code 3 when there are violations.",
        kind="switch",
        default="Disabled",
        needs="analysis",
    ),
    Variable(
        "fail_on_undecided",
        "Exit with code 5 when something that was asked for could not be decided. Enabled by default where "
        "fail_on_violations or register_new_baseline is set.",
        kind="switch",
        needs="analysis",
    ),
    Variable(
        "skip_check",
        "Compute and write everything, but compare with no baseline: there are no violations then.",
        kind="switch",
        default="Disabled",
        needs="analysis",
    ),
    Variable(
        "register_new_baseline",
        "Folder that gets statistics and constraints as the new baseline when the check passes or is "
        "skipped; local or s3://. The baseline before is kept in its folder previous.",
        needs="analysis",
        example="/opt/ml/processing/baseline",
    ),
    Variable(
        "metrics_sinks",
        "Where metrics go besides CloudWatch files, separated by commas: prometheus-textfile:/folder/, "
        "pushgateway+http://host:9091, otlp+http://host:4318, cloudwatch:.",
        needs="analysis",
        example="pushgateway+http://pushgateway:9091",
    ),
    Variable(
        "event_sinks",
        "Who gets an event when there are violations, separated by commas: events+https://host/path "
        "(CloudEvents), eventbridge:bus-name.",
        needs="analysis",
        example="events+http://retraining:8080/events",
    ),
    Variable(
        "output_kms_key",
        "Key of AWS KMS that encrypts what is written to S3: id, alias or ARN; default: the bucket's.",
        example="alias/reports",
    ),
    Variable(
        "sink_timeout",
        "Time a sink has for all attempts, as an ISO 8601 duration or in seconds.",
        default="PT30S",
        needs="analysis",
    ),
    Variable(
        "sink_headers_file",
        "JSON file with HTTP headers by the host of a sink, ${NAME} standing for an environment variable; "
        "local or s3://.",
        needs="analysis",
        example="/run/secrets/sink-headers.json",
    ),
    Variable(
        "report",
        "Write report.html, the page to look at, beside the JSON files; Disabled saves its time.",
        kind="switch",
        default="Enabled",
        needs="analysis",
    ),
    Variable(
        "history_path",
        "Folder that gets a small record of every run; any number of jobs may share it; local or s3://.",
        needs="analysis",
        example="s3://bucket/model-monitor/history",
    ),
    Variable(
        "history_statistics",
        "Keep each run's statistics and baseline in the history too, so that monitor-backtest can check it "
        "again.",
        kind="switch",
        default="Enabled",
        needs="analysis",
    ),
    Variable(
        "fail_on_sink_error",
        "Exit with code 4 when a sink did not get what was meant for it; the files are written all the same.",
        kind="switch",
        default="Disabled",
        needs="analysis",
    ),
    Variable(
        "publish_cloudwatch_metrics",
        "Write CloudWatch metric files.",
        kind="switch",
        default="Disabled",
        needs="analysis",
    ),
    Variable(
        "cloudwatch_metrics_directory",
        "Directory for CloudWatch metric files.",
        default="/opt/ml/output/metrics/cloudwatch",
        needs="analysis",
    ),
)


# How the job runs and reports, and what is accepted for the sake of the originals' jobs.


DEFAULT_MESSAGE_FILE = "/opt/ml/output/message"

VARIABLES_PROCESS: tuple[Variable, ...] = (
    Variable(
        "output_message_file",
        "File that gets the outcome in one sentence.",
        default=DEFAULT_MESSAGE_FILE,
    ),
    Variable(
        "metric_time",
        "Timestamp of published metrics, ISO 8601; default: start of the window.",
        needs="analysis",
    ),
    Variable("sagemaker_endpoint_name", "Endpoint name, a dimension of published metrics."),
    Variable("sagemaker_monitoring_schedule_name", "Schedule name, a dimension of published metrics."),
    Variable(
        "analysis_type",
        "Only checked: an image refuses a job meant for another.",
    ),
    Variable(
        "workers",
        "Number of splits read at once; default: the processors available.",
        kind="count",
        needs="analysis",
    ),
    Variable(
        "dask_scheduler_address",
        "Scheduler of a Dask cluster whose workers read the splits; they have this program, and see the same "
        "files.",
        needs="analysis",
        example="scheduler.example:8786",
    ),
    Variable(
        "cluster_leader_address",
        "Where pods of an Indexed Job of Kubernetes find the one with index 0, which leads them.",
        needs="analysis",
        example="drift-0.drift:8786",
    ),
    Variable(
        "cluster_size",
        "Number of pods of an Indexed Job, its completions; the leader waits for them before it ends.",
        kind="count",
        needs="analysis",
    ),
    Variable(
        "cluster_wait",
        "How long hosts of a job wait for each other, as an ISO 8601 duration or in seconds.",
        default="PT1M",
        needs="analysis",
    ),
    Variable(
        "script_timeout",
        "Longest time of one call of a function of a script or inference.py, as an ISO 8601 duration or in "
        "seconds.",
        default="PT1H",
        needs="analysis",
    ),
    Variable(
        "log_level",
        "Least severity that is logged.",
        kind="choice",
        choices=("DEBUG", "INFO", "WARNING", "ERROR"),
        default="INFO",
    ),
    Variable("sagemaker_endpoint_datacapture_prefix", "Accepted for compatibility; not used.", ignored=True),
    Variable("monitoring_input_type", "Accepted for compatibility; not used.", ignored=True),
    Variable("detect_drift", "Accepted for compatibility; not used.", ignored=True),
    Variable("detect_outliers", "Accepted for compatibility; not used.", ignored=True),
    Variable("image_data", "Accepted for compatibility; not used.", ignored=True),
    Variable("report_enabled", "Accepted for compatibility; not used.", ignored=True),
    Variable("auto_ml_job_detail", "Accepted for compatibility; not used.", ignored=True),
)


VARIABLES: tuple[Variable, ...] = (
    *VARIABLES_ANALYSIS,
    *VARIABLES_PREDICTIONS,
    *VARIABLES_RESULTS,
    *VARIABLES_PROCESS,
)

VARIABLE_BY_NAME: dict[str, Variable] = {
    name: variable for variable in VARIABLES for name in (variable.name, *variable.aliases)
}
