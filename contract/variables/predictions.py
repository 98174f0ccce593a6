"""Where predictions and labels are found."""

from contract.variables.commands import CONFIGURED, LABELS, MODEL_QUALITY, PREDICTIONS
from contract.variables.variable import Variable

VARIABLES: tuple[Variable, ...] = (
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
