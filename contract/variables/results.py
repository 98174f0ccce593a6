"""What follows from what was found: exit codes, a new baseline, metrics, events, the page, the history."""

from contract.variables.commands import ANALYSES
from contract.variables.variable import Variable

VARIABLES: tuple[Variable, ...] = (
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
