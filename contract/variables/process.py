"""How the job runs and reports, and what is accepted for the sake of the originals' jobs."""

from contract.variables.commands import ANALYSES
from contract.variables.variable import Variable

DEFAULT_MESSAGE_FILE = "/opt/ml/output/message"

VARIABLES: tuple[Variable, ...] = (
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
