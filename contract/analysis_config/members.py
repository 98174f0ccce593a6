"""What an analysis configuration says, for tabular data: one frozen dataclass per JSON object.

Members are called as in the file, and hold what it holds; lists are tuples. What the file leaves out has
the documented default, or is None where its absence means something.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Value = int | float | str
# A column's name, its zero-based position, or a JMESPath expression.
Locator = str | int
DatasetType = Literal[
    "text/csv",
    "application/jsonlines",
    "application/json",
    "application/x-parquet",
    "application/sagemakercapturejson",
]
ContentType = Literal["text/csv", "application/jsonlines", "application/json"]


@dataclass(frozen=True)
class Facet:
    """One facet: a column, or several whose values are taken together (an intersection).

    Parameters
    ----------
    name_or_index
        The columns, one as a rule.
    value_or_threshold
        Of one column: the values of the disadvantaged group, or a threshold; empty for every distinct value
        in turn. Of several: one tuple of values each time, in the order of the columns; empty for every
        combination.
    """

    name_or_index: tuple[Locator, ...]
    value_or_threshold: tuple[Value, ...] | tuple[tuple[Value, ...], ...] = ()


@dataclass(frozen=True)
class Segments:
    """Parts of the data that are analysed each by itself: one entry of ``segment_config``.

    Parameters
    ----------
    segments
        Each is a list of values, or of intervals as text such as ``[1, 4]`` or ``(2, 5]``.
    display_aliases
        As many as segments, or one more for the rest of the rows; empty for none.
    """

    name_or_index: Locator
    segments: tuple[tuple[str | int, ...], ...]
    config_name: str | None = None
    display_aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class ShapConfig:
    """``methods.shap``.

    Parameters
    ----------
    baseline
        URI of a file, rows (lists of cells, or objects in the shape of a request), or one object; None has
        it made by clustering.
    save_local_shap_values
        Whether the values of single rows are written.
    """

    baseline: str | list[Any] | dict[str, Any] | None = None
    num_clusters: int | None = None
    use_logit: bool = False
    num_samples: int | None = None
    agg_method: Literal["mean_abs", "median", "mean_sq"] = "mean_abs"
    save_local_shap_values: bool = False
    seed: int | None = None
    features_to_explain: tuple[Locator, ...] = ()


@dataclass(frozen=True)
class PartialDependenceConfig:
    """``methods.pdp``."""

    grid_resolution: int
    features: tuple[Locator, ...] = ()
    top_k_features: int = 10


@dataclass(frozen=True)
class ReportConfig:
    """``methods.report``."""

    name: str = "report"
    title: str = "SageMaker Analysis Report"


@dataclass(frozen=True)
class Methods:
    """What to compute; None is not asked for.

    Parameters
    ----------
    pre_training_bias, post_training_bias
        Names of metrics; ``all`` has become all names.
    """

    pre_training_bias: tuple[str, ...] | None = None
    post_training_bias: tuple[str, ...] | None = None
    shap: ShapConfig | None = None
    pdp: PartialDependenceConfig | None = None
    report: ReportConfig | None = None


@dataclass(frozen=True)
class PredictorConfig:
    """``predictor``: how the model is asked.

    Parameters
    ----------
    endpoint_name
        A running endpoint of SageMaker; it comes before `model_name`.
    model_name
        A model of SageMaker, for which the job starts an endpoint of its own: `initial_instance_count`
        instances of `instance_type` (one where it is None), with `accelerator_type`. Its name begins with
        `endpoint_name_prefix`.
    target_model
        One of several models behind the endpoint.
    content_type
        Of requests; None is the type of the dataset.
    accept_type
        Of answers; None is the type of the requests.
    label, probability
        Where an answer holds the predicted label or the score: index of the column in CSV, JMESPath in
        JSON.
    label_headers
        Names of the classes, in the order of a list of scores.
    content_template, record_template
        The shape of a request.
    """

    endpoint_name: str | None = None
    endpoint_name_prefix: str | None = None
    model_name: str | None = None
    target_model: str | None = None
    instance_type: str | None = None
    initial_instance_count: int | None = None
    accelerator_type: str | None = None
    content_type: ContentType | None = None
    accept_type: ContentType | None = None
    label: Locator | None = None
    probability: Locator | None = None
    label_headers: tuple[str | int, ...] = ()
    content_template: str | dict[str, str] | None = None
    record_template: str | None = None
    custom_attributes: str | None = None


@dataclass(frozen=True)
class AnalysisConfig:
    """A whole ``analysis_config.json``.

    Parameters
    ----------
    dataset_type
        None in the configuration of a monitor, whose data are captures.
    label, predicted_label
        Column by name or position, or JMESPath.
    label_values_or_threshold
        The positive outcomes, or a threshold.
    methods
        None in the configuration of a bias monitor, which computes everything it can.
    where
        The file, for messages.
    """

    version: str = "1.0"
    dataset_type: DatasetType | None = None
    dataset_uri: str | None = None
    headers: tuple[str, ...] = ()
    label: Locator | None = None
    predicted_label: Locator | None = None
    features: str | None = None
    label_values_or_threshold: tuple[Value, ...] = ()
    probability_threshold: float = 0.5
    segment_config: tuple[Segments, ...] = ()
    facet: tuple[Facet, ...] = ()
    facet_dataset_uri: str | None = None
    facet_headers: tuple[str, ...] = ()
    predicted_label_dataset_uri: str | None = None
    predicted_label_headers: tuple[str, ...] = ()
    excluded_columns: tuple[Locator, ...] = ()
    joinsource_name_or_index: Locator | None = None
    group_variable: Locator | None = None
    methods: Methods | None = None
    predictor: PredictorConfig | None = None
    where: str = field(default="analysis_config.json", compare=False)
