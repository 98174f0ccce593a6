"""The table of everything a user can set: one row per variable of the container contract.

`contract.settings` reads them; ``docs/settings.md`` lists them, and a test holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# What is known of one thing that a user can set.


@dataclass(frozen=True)
class Variable:
    """One thing a user can set.

    `kind` is how its text is read; `required` variables have no default, and `required_by` names commands
    that need one which others can do without; `ignored` ones are accepted
    because the originals' jobs carry them, and change nothing. `monitors` are the commands it concerns,
    all of them when empty; `defaults` are those of single commands.
    """

    name: str
    help: str
    kind: Literal["text", "switch", "choice", "count"] = "text"
    default: str | None = None
    choices: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    required: bool = False
    required_by: tuple[str, ...] = ()
    ignored: bool = False
    example: str = ""
    monitors: tuple[str, ...] = ()
    defaults: tuple[tuple[str, str], ...] = ()

    def concerns(self, program: str) -> bool:
        """Return whether a command reads it."""
        return not self.monitors or program in self.monitors

    def is_required(self, program: str) -> bool:
        """Return whether a command cannot do without it."""
        if self.default_for(program) is not None:
            return False
        return program in self.required_by or (self.required and self.concerns(program))

    def default_for(self, program: str) -> str | None:
        """Return what a command takes when it is not set, None for nothing."""
        return dict(self.defaults).get(program, self.default)

    @property
    def flag(self) -> str:
        """Return the flag of the console command."""
        return "--" + self.name.replace("_", "-")


# Commands that share variables, by what they have in common.


MODEL_QUALITY = ("monitor-model-quality",)
BIAS = ("monitor-bias",)
ATTRIBUTION = ("monitor-feature-attribution",)
TABLES = ("monitor-data-quality", *MODEL_QUALITY)
SCRIPTED = (*TABLES, *ATTRIBUTION)
CONFIGURED = (*BIAS, *ATTRIBUTION)
ANALYSES = (*SCRIPTED, *BIAS)
PREDICTIONS = (*MODEL_QUALITY, *BIAS)
LABELS = (*PREDICTIONS, "merge-ground-truth")


# What is read, how it is analysed, and what it is compared with.


VARIABLES_ANALYSIS: tuple[Variable, ...] = (
    Variable(
        "dataset_source",
        "File or directory with the data, nested folders included; local or s3://.",
        aliases=("dataset_source_path",),
        required=True,
        example="/opt/ml/processing/input/endpoint",
        defaults=tuple((program, "/opt/ml/processing/input/data") for program in CONFIGURED),
    ),
    Variable(
        "dataset_format",
        "How to read the data: csv, json, parquet or sagemakerCaptureJson, as JSON with options.",
        required_by=TABLES,
        example='{"csv":{"header":true}}',
        monitors=ANALYSES,
    ),
    Variable(
        "output_path",
        "Directory for statistics.json, constraints.json and constraint_violations.json.",
        required=True,
        example="/opt/ml/processing/output",
        defaults=tuple((program, "/opt/ml/processing/output") for program in CONFIGURED),
    ),
    Variable(
        "analysis_config",
        "analysis_config.json, or the folder that holds it; local or s3://.",
        monitors=CONFIGURED,
        default="/opt/ml/processing/input/config",
    ),
    Variable(
        "model",
        "Model to ask: address of a model server, or a model file; local or s3://. Default: the endpoint "
        "that analysis_config names.",
        monitors=CONFIGURED,
        example="http://localhost:8080/invocations",
    ),
    Variable(
        "allow_pickled_model",
        "Load a pickled model. Whoever made the file then runs code in this job: only for files you trust.",
        kind="switch",
        default="Disabled",
        monitors=CONFIGURED,
    ),
    Variable(
        "max_runtime",
        "Time after which no further row is explained, as an ISO 8601 duration or in seconds; the result is "
        "then marked partial.",
        monitors=ATTRIBUTION,
        example="PT30M",
    ),
    Variable(
        "attribution_drift_threshold",
        "NDCG below which the order of features has drifted, from 0 to 1; default: the baseline's, else 0.9.",
        monitors=ATTRIBUTION,
        example="0.9",
    ),
    Variable(
        "baseline_constraints",
        "constraints.json of a baseline job (bias: or Clarify's analysis.json). With it, the job monitors a "
        "window.",
        monitors=ANALYSES,
    ),
    Variable(
        "baseline_statistics",
        "statistics.json of a baseline job. With it, drift is measured.",
        monitors=ANALYSES,
    ),
    Variable(
        "rules",
        "How to decide: sound (statistics) or sagemaker (as the original containers did).",
        kind="choice",
        choices=("sound", "sagemaker"),
        default="sound",
        monitors=ANALYSES,
    ),
    Variable(
        "record_preprocessor_script",
        "Python file with preprocess_handler(record) or preprocess_dataframe(df).",
        monitors=SCRIPTED,
    ),
    Variable(
        "post_analytics_processor_script",
        "Python file with postprocess_handler(), run after the analysis.",
        monitors=SCRIPTED,
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
        monitors=SCRIPTED,
    ),
    Variable(
        "categorical_drift_method",
        "How drift of text features is measured; copied into the suggested constraints.",
        kind="choice",
        choices=("LInfinity", "ChiSquared"),
        monitors=("monitor-data-quality",),
    ),
    Variable(
        "segment_by",
        "Columns, separated by commas, whose values divide the rows into segments analysed each by itself.",
        example="carrier,origin",
        monitors=(*TABLES, *BIAS),
    ),
)


# Where predictions and labels are found.


VARIABLES_PREDICTIONS: tuple[Variable, ...] = (
    Variable(
        "problem_type",
        "What the model predicts.",
        kind="choice",
        choices=("Regression", "BinaryClassification", "MulticlassClassification"),
        monitors=MODEL_QUALITY,
        required=True,
        example="BinaryClassification",
    ),
    Variable(
        "features_attribute",
        "Where requests hold the features: JMESPath.",
        monitors=CONFIGURED,
        example="instances[*].features",
    ),
    Variable(
        "inference_attribute",
        "Column of the predicted value or label: name, zero-based position or JSON path.",
        monitors=PREDICTIONS,
        example="prediction",
    ),
    Variable(
        "probability_attribute",
        "Column of the predicted probability: name, zero-based position or JSON path.",
        monitors=PREDICTIONS,
        example="probability",
    ),
    Variable(
        "probability_threshold_attribute",
        "Probability from which a row counts as predicted positive; default 0.5.",
        monitors=PREDICTIONS,
        example="0.5",
    ),
    Variable(
        "ground_truth_attribute",
        "Column of the label: name, zero-based position or JSON path; default: the merged ground truth.",
        monitors=PREDICTIONS,
        example="label",
    ),
    Variable(
        "positive_label",
        "Label that counts as positive in a binary problem; default 1.",
        monitors=MODEL_QUALITY,
        example="1",
    ),
    Variable(
        "ground_truth_source",
        "Directory with labels to join with the captures of dataset_source; local or s3://.",
        monitors=LABELS,
        required_by=("merge-ground-truth",),
        example="/opt/ml/processing/groundtruth",
    ),
    Variable(
        "human_review_label_attribute",
        "Where the answers of human reviewers hold the label: dotted path within answerContent; default: "
        "their only value.",
        monitors=LABELS,
        example="sentiment.label",
    ),
    Variable(
        "human_review_id_attribute",
        "Where the input of human reviewers holds the id of the inference: dotted path within inputContent; "
        "default: inferenceId, else eventId, else the name of the human loop.",
        monitors=LABELS,
        example="inferenceId",
    ),
    Variable(
        "ground_truth_id_column",
        "Column with the id of the inference in labels that are CSV or Parquet; default: inferenceId, else "
        "eventId.",
        monitors=LABELS,
        example="request_id",
    ),
    Variable(
        "ground_truth_label_column",
        "Column with the label in labels that are CSV or Parquet; default: the only column beside the id.",
        monitors=LABELS,
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
        monitors=ANALYSES,
    ),
    Variable(
        "fail_on_undecided",
        "Exit with code 5 when something that was asked for could not be decided. Enabled by default where "
        "fail_on_violations or register_new_baseline is set.",
        kind="switch",
        monitors=ANALYSES,
    ),
    Variable(
        "skip_check",
        "Compute and write everything, but compare with no baseline: there are no violations then.",
        kind="switch",
        default="Disabled",
        monitors=ANALYSES,
    ),
    Variable(
        "register_new_baseline",
        "Folder that gets statistics and constraints as the new baseline when the check passes or is "
        "skipped; local or s3://. The baseline before is kept in its folder previous.",
        monitors=ANALYSES,
        example="/opt/ml/processing/baseline",
    ),
    Variable(
        "metrics_sinks",
        "Where metrics go besides CloudWatch files, separated by commas: prometheus-textfile:/folder/, "
        "pushgateway+http://host:9091, otlp+http://host:4318, cloudwatch:.",
        monitors=ANALYSES,
        example="pushgateway+http://pushgateway:9091",
    ),
    Variable(
        "event_sinks",
        "Who gets an event when there are violations, separated by commas: events+https://host/path "
        "(CloudEvents), eventbridge:bus-name.",
        monitors=ANALYSES,
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
        monitors=ANALYSES,
    ),
    Variable(
        "sink_headers_file",
        "JSON file with HTTP headers by the host of a sink, ${NAME} standing for an environment variable; "
        "local or s3://.",
        monitors=ANALYSES,
        example="/run/secrets/sink-headers.json",
    ),
    Variable(
        "report",
        "Write report.html, the page to look at, beside the JSON files; Disabled saves its time.",
        kind="switch",
        default="Enabled",
        monitors=ANALYSES,
    ),
    Variable(
        "history_path",
        "Folder that gets a small record of every run; any number of jobs may share it; local or s3://.",
        monitors=ANALYSES,
        example="s3://bucket/model-monitor/history",
    ),
    Variable(
        "history_statistics",
        "Keep each run's statistics and baseline in the history too, so that monitor-backtest can check it "
        "again.",
        kind="switch",
        default="Enabled",
        monitors=ANALYSES,
    ),
    Variable(
        "fail_on_sink_error",
        "Exit with code 4 when a sink did not get what was meant for it; the files are written all the same.",
        kind="switch",
        default="Disabled",
        monitors=ANALYSES,
    ),
    Variable(
        "publish_cloudwatch_metrics",
        "Write CloudWatch metric files.",
        kind="switch",
        default="Disabled",
        monitors=ANALYSES,
    ),
    Variable(
        "cloudwatch_metrics_directory",
        "Directory for CloudWatch metric files.",
        default="/opt/ml/output/metrics/cloudwatch",
        monitors=ANALYSES,
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
        monitors=ANALYSES,
    ),
    Variable("sagemaker_endpoint_name", "Endpoint name, a dimension of published metrics."),
    Variable("sagemaker_monitoring_schedule_name", "Schedule name, a dimension of published metrics."),
    Variable(
        "analysis_type",
        "Only checked: an image refuses a job meant for another.",
        example="DATA_QUALITY",
    ),
    Variable(
        "workers",
        "Number of splits read at once; default: the processors available.",
        kind="count",
        monitors=ANALYSES,
    ),
    Variable(
        "dask_scheduler_address",
        "Scheduler of a Dask cluster whose workers read the splits; they have this program, and see the same "
        "files.",
        monitors=ANALYSES,
        example="scheduler.example:8786",
    ),
    Variable(
        "cluster_leader_address",
        "Where pods of an Indexed Job of Kubernetes find the one with index 0, which leads them.",
        monitors=ANALYSES,
        example="drift-0.drift:8786",
    ),
    Variable(
        "cluster_size",
        "Number of pods of an Indexed Job, its completions; the leader waits for them before it ends.",
        kind="count",
        monitors=ANALYSES,
    ),
    Variable(
        "cluster_wait",
        "How long hosts of a job wait for each other, as an ISO 8601 duration or in seconds.",
        default="PT1M",
        monitors=ANALYSES,
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
