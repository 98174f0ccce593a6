"""What is read, how it is analysed, and what it is compared with."""

from contract.variables.commands import ANALYSES, ATTRIBUTION, BIAS, CONFIGURED, SCRIPTED, TABLES
from contract.variables.variable import Variable

VARIABLES: tuple[Variable, ...] = (
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
