"""What an analysis configuration says, for tabular data: one frozen dataclass per JSON object.

Members are called as in the file, and hold what it holds; lists are tuples. What the file leaves out has
the documented default, or is None where its absence means something.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from contract.schema import JsonObject, Mistakes, is_locator, is_text, is_value, shown, suggestion

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


# The ``methods`` of an analysis configuration.


PRE_TRAINING_METRICS = ("CDDL", "CI", "DPL", "JS", "KL", "KS", "LP", "TVD")
POST_TRAINING_METRICS = (
    "AD",
    "CDDPL",
    "DAR",
    "DCA",
    "DCR",
    "DI",
    "DPPL",
    "DRR",
    "FT",
    "GE",
    "RD",
    "SD",
    "TE",
)
# Names that older guides give to metrics.
_ALIASES = {"DCACC": "DCA", "DCACCEPTANCE": "DCA", "DCREJ": "DCR"}

_COLUMNS = "names and zero-based positions"


def read_methods(members: JsonObject | None) -> Methods | None:
    """Read ``methods``, noting mistakes; None when absent."""
    if members is None:
        return None
    members.refuse("asymmetric_shapley_value", "time series")
    methods = Methods(
        pre_training_bias=_metrics(members.child("pre_training_bias"), PRE_TRAINING_METRICS),
        post_training_bias=_metrics(members.child("post_training_bias"), POST_TRAINING_METRICS),
        shap=_shap(members.child("shap")),
        pdp=_partial_dependence(members.child("pdp")),
        report=_report(members.child("report")),
    )
    members.finish()
    return methods


def _metrics(members: JsonObject | None, known: tuple[str, ...]) -> tuple[str, ...] | None:
    if members is None:
        return None
    asked = members.raw("methods")
    members.finish()
    if asked is None or (isinstance(asked, str) and asked.strip().casefold() == "all"):
        return known
    place = members.place("methods")
    if not isinstance(asked, list) or not all(isinstance(name, str) for name in asked) or not asked:
        members.wrong(
            "methods", 'the text "all" or a list of names of metrics', f'["{known[0]}","{known[1]}"]'
        )
        return known
    names = {name.strip().upper(): name for name in asked}
    for name, written in names.items():
        if name not in known:
            alias = _ALIASES.get(name)
            hint = f": did you mean {alias}?" if alias in known else suggestion(name, known)
            members.mistakes.add(f"{place} asks for {written!r}, which is no such metric{hint}")
    return tuple(name for name in known if name in names)


def _shap(members: JsonObject | None) -> ShapConfig | None:
    if members is None:
        return None
    members.refuse("text_config", "text")
    members.refuse("image_config", "images")
    shap = ShapConfig(
        baseline=_baseline(members),
        num_clusters=members.whole_number("num_clusters", 1),
        use_logit=members.switch("use_logit", default=False),
        num_samples=members.whole_number("num_samples", 1),
        agg_method=members.choice("agg_method", ("mean_abs", "median", "mean_sq")) or "mean_abs",
        save_local_shap_values=members.switch("save_local_shap_values", default=False),
        seed=members.whole_number("seed"),
        features_to_explain=members.values("features_to_explain", is_locator, _COLUMNS),
    )
    if shap.baseline is not None and shap.num_clusters is not None:
        members.mistakes.add(
            f"{members.place('baseline')} and {members.place('num_clusters')} exclude each other; "
            "leave one out"
        )
    members.finish()
    return shap


def _baseline(members: JsonObject) -> Any:
    baseline = members.raw("baseline")
    if baseline is None or isinstance(baseline, str | dict):
        return baseline or None
    if isinstance(baseline, list) and baseline and _are_rows(baseline):
        return baseline
    members.wrong(
        "baseline",
        "the URI of a file, or a list of rows, each a list of text, numbers and null, or an object",
        "[[35, null, 0.5]]",
    )
    return None


def _are_rows(rows: list[Any]) -> bool:
    return all(isinstance(row, dict) for row in rows) or all(
        isinstance(row, list) and all(cell is None or isinstance(cell, str | int | float) for cell in row)
        for row in rows
    )


def _partial_dependence(members: JsonObject | None) -> PartialDependenceConfig | None:
    if members is None:
        return None
    pdp = PartialDependenceConfig(
        # Required by the originals' schema, although their SDK has this default.
        grid_resolution=members.whole_number("grid_resolution", 1) or 15,
        features=members.values("features", is_locator, _COLUMNS),
        top_k_features=members.whole_number("top_k_features", 1) or 10,
    )
    members.finish()
    return pdp


def _report(members: JsonObject | None) -> ReportConfig | None:
    if members is None:
        return None
    default = ReportConfig()
    report = ReportConfig(
        name=members.text("name") or default.name, title=members.text("title") or default.title
    )
    members.finish()
    return report


# The ``predictor`` of an analysis configuration: how the model is asked.


# The names of endpoints begin with it, and have room for 63 characters.
_PREFIX = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,21}[a-zA-Z0-9])?")
_REFUSED = dict.fromkeys(
    ("image/jpeg", "image/png", "application/x-npy"), "images, but only tabular data is analysed"
)


def read_predictor(members: JsonObject | None) -> PredictorConfig | None:
    """Read ``predictor``, noting mistakes; None when absent."""
    if members is None:
        return None
    members.refuse("time_series_predictor_config", "time series")
    predictor = PredictorConfig(
        endpoint_name=members.text("endpoint_name"),
        endpoint_name_prefix=_endpoint_name_prefix(members),
        model_name=members.text("model_name"),
        target_model=members.text("target_model"),
        instance_type=members.text("instance_type"),
        initial_instance_count=members.whole_number("initial_instance_count", 1),
        accelerator_type=members.text("accelerator_type"),
        content_type=members.choice("content_type", get_args(ContentType), _REFUSED),
        accept_type=members.choice("accept_type", get_args(ContentType)),
        label=members.locator("label"),
        probability=members.locator("probability"),
        label_headers=members.values("label_headers", _is_header, "texts and whole numbers"),
        content_template=_content_template(members),
        record_template=members.text("record_template"),
        custom_attributes=members.text("custom_attributes"),
    )
    _check_templates(predictor, members)
    members.finish()
    return predictor


def _endpoint_name_prefix(members: JsonObject) -> str | None:
    prefix = members.text("endpoint_name_prefix")
    if prefix is not None and not _PREFIX.fullmatch(prefix):
        members.wrong("endpoint_name_prefix", "at most 23 letters, digits and hyphens within", '"sm-clarify"')
        return None
    return prefix


def _is_header(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def _content_template(members: JsonObject) -> str | dict[str, str] | None:
    template = members.raw("content_template")
    if template is None or (isinstance(template, str) and template):
        return template
    if isinstance(template, dict) and all(isinstance(part, str) for part in template.values()):
        return dict(template)
    members.wrong("content_template", "text, or an object of texts", '"{\\"features\\":$features}"')
    return None


def _check_templates(predictor: PredictorConfig, members: JsonObject) -> None:
    """Note templates without the tokens that they are filled by."""
    template = predictor.content_template
    if not isinstance(template, str):
        return
    place = members.place("content_template")
    if predictor.content_type == "application/jsonlines" and "$features" not in template:
        members.mistakes.add(f'{place} has no $features; write for example "{{\\"features\\":$features}}"')
    if predictor.content_type == "application/json":
        if "$record" not in template:
            members.mistakes.add(f'{place} has no $records; write for example "{{\\"instances\\":$records}}"')
        elif predictor.record_template is None:
            members.mistakes.add(
                f"{members.place('record_template')} is missing beside content_template; "
                'write for example "{\\"features\\":$features}"'
            )


# Reading ``analysis_config.json``: every mistake in one report, each with its path and the nearest fix.


Kind = Literal["groups", "attribution"]

_VALUES = "text and numbers"

_IMAGES = {"application/x-image": "images, but only tabular data is analysed"}


def read_analysis_config(value: Any, where: str, kind: Kind) -> AnalysisConfig:
    """Read and check an analysis configuration.

    Parameters
    ----------
    value
        The parsed JSON value.
    where
        The file, for messages.
    kind
        What the configuration is for: ``groups`` needs a label, its positive values and a facet;
        ``attribution`` needs ``methods.shap``.

    Raises
    ------
    ConfigurationError
        With every mistake, each naming the member and the fix.
    """
    mistakes = Mistakes(where)
    members = JsonObject(value, "", mistakes)
    config = _config(members, where)
    if isinstance(value, dict):
        _require(config, members, kind)
    mistakes.stop_if_any()
    return config


def _config(members: JsonObject, where: str) -> AnalysisConfig:
    members.refuse("time_series_data_config", "time series")
    config = AnalysisConfig(
        version=_version(members),
        dataset_type=members.choice("dataset_type", get_args(DatasetType), _IMAGES),
        dataset_uri=members.text("dataset_uri"),
        headers=_names(members, "headers"),
        label=members.locator("label"),
        predicted_label=members.locator("predicted_label"),
        features=members.text("features"),
        label_values_or_threshold=members.values("label_values_or_threshold", is_value, _VALUES),
        probability_threshold=_probability(members),
        segment_config=_segments(members),
        facet=(*_facets(members, "facet"), *_facets(members, "facets")),
        facet_dataset_uri=members.text("facet_dataset_uri"),
        facet_headers=_names(members, "facet_headers"),
        predicted_label_dataset_uri=members.text("predicted_label_dataset_uri"),
        predicted_label_headers=_names(members, "predicted_label_headers"),
        excluded_columns=members.values("excluded_columns", is_locator, _COLUMNS),
        joinsource_name_or_index=members.locator("joinsource_name_or_index"),
        group_variable=members.locator("group_variable"),
        methods=read_methods(members.child("methods")),
        predictor=read_predictor(members.child("predictor")),
        where=where,
    )
    members.finish()
    return config


def _require(config: AnalysisConfig, members: JsonObject, kind: Kind) -> None:
    """Note what an analysis of this kind cannot do without."""

    def missing(key: str, example: str) -> None:
        # A member that is there but wrong or misspelt has been noted already.
        if members.members.get(key) in (None, []) and not members.is_misspelt(key):
            members.mistakes.add(f"{key} is missing; add for example {example}")

    methods = config.methods
    if kind == "attribution":
        if methods is None or (methods.shap is None and "shap" not in _methods(members)):
            members.mistakes.add('methods.shap is missing; add for example "methods":{"shap":{}}')
        return
    if methods is not None and methods.pre_training_bias is None and methods.post_training_bias is None:
        named = [key for key in ("pre_training_bias", "post_training_bias") if key in _methods(members)]
        if not named:
            members.mistakes.add(
                "methods asks for no bias metric; add "
                '"pre_training_bias":{"methods":"all"} or "post_training_bias":{"methods":"all"}'
            )
    missing("label", '"label":"approved"')
    missing("label_values_or_threshold", '"label_values_or_threshold":[1]')
    if not members.members.get("facets"):
        missing("facet", '"facet":[{"name_or_index":"sex","value_or_threshold":["female"]}]')


def _methods(members: JsonObject) -> dict[str, Any]:
    methods = members.members.get("methods")
    return methods if isinstance(methods, dict) else {}


def _version(members: JsonObject) -> str:
    version = members.text("version")
    if version is not None and version != "1.0":
        members.wrong("version", 'the text "1.0"')
    return "1.0"


def _probability(members: JsonObject) -> float:
    threshold = members.number("probability_threshold", 0.5)
    if not 0.0 <= threshold <= 1.0:
        members.wrong("probability_threshold", "a number from 0 to 1")
    return threshold


def _names(members: JsonObject, key: str) -> tuple[str, ...]:
    names = members.values(key, is_text, "texts")
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        members.mistakes.add(f"{members.place(key)} names {repeated!r} twice; rename one")
    return names


def _facets(members: JsonObject, key: str) -> tuple[Facet, ...]:
    entries = members.raw(key)
    if entries is None:
        return ()
    if not isinstance(entries, list):
        members.wrong(key, "a list of objects", '[{"name_or_index":"sex","value_or_threshold":["female"]}]')
        return ()
    facets = [
        _facet(entry, f"{members.place(key)}[{position}]", members.mistakes)
        for position, entry in enumerate(entries)
    ]
    return tuple(facet for facet in facets if facet is not None)


def _facet(entry: Any, path: str, mistakes: Mistakes) -> Facet | None:
    if isinstance(entry, dict):
        members = JsonObject(entry, path, mistakes)
        columns = members.raw("name_or_index")
        names = _facet_columns(columns, f"{path}.name_or_index", mistakes)
        values = _facet_values(members, names)
        if columns is None and not members.is_misspelt("name_or_index"):
            mistakes.add(f'{path}.name_or_index is missing; add for example "name_or_index":"sex"')
        members.finish()
        return None if names is None else Facet(names, values)
    names = _facet_columns(entry, path, mistakes)
    return None if names is None else Facet(names)


def _facet_columns(value: Any, path: str, mistakes: Mistakes) -> tuple[str | int, ...] | None:
    columns = value if isinstance(value, list) else [value]
    if value is None or not columns:
        if value is not None:
            mistakes.add(f"{path} names no column; write a name")
        return None
    if not all(is_locator(column) for column in columns):
        mistakes.add(
            f"{path} must be a name, a zero-based position, or a list of these, but is {shown(value)}"
        )
        return None
    if len(set(columns)) < len(columns):
        mistakes.add(f"{path} names a column twice: {shown(value)}; name each once")
        return None
    return tuple(columns)


def _facet_values(members: JsonObject, columns: tuple[str | int, ...] | None) -> tuple[Any, ...]:
    count = 1 if columns is None else len(columns)
    if count == 1:
        return members.values("value_or_threshold", is_value, _VALUES)

    def fits(value: Any) -> bool:
        return isinstance(value, list) and len(value) == count and all(is_value(cell) for cell in value)

    found = members.values(
        "value_or_threshold", fits, f"lists of {count} values, one for each column of name_or_index"
    )
    return tuple(tuple(cells) for cells in found)


def _segments(members: JsonObject) -> tuple[Segments, ...]:
    entries = members.raw("segment_config")
    if entries is None:
        return ()
    if not isinstance(entries, list):
        members.wrong(
            "segment_config", "a list of objects", '[{"name_or_index":"age","segments":[["[18, 30]"]]}]'
        )
        return ()
    return tuple(
        _segment(JsonObject(entry, f"segment_config[{position}]", members.mistakes))
        for position, entry in enumerate(entries)
    )


def _segment(members: JsonObject) -> Segments:
    column = members.locator("name_or_index")
    if members.members and members.members.get("name_or_index") is None:
        members.mistakes.add(f"{members.place('name_or_index')} is missing; name the column")

    def fits(segment: Any) -> bool:
        return (
            isinstance(segment, list)
            and bool(segment)
            and all(isinstance(cell, str | int) for cell in segment)
        )

    segments = members.values(
        "segments", fits, "lists of values or intervals", example='[["a","b"],["[1, 4]","(5, 6]"]]'
    )
    if members.members and members.members.get("segments") in (None, []):
        members.mistakes.add(
            f'{members.place("segments")} is missing; add for example "segments":[["[18, 30]"]]'
        )
    aliases = members.values("display_aliases", is_text, "texts")
    if aliases and len(aliases) not in (len(segments), len(segments) + 1):
        members.mistakes.add(
            f"{members.place('display_aliases')} has {len(aliases)} names for {len(segments)} segments; "
            "give one for each, and at most one more for the rest"
        )
    found = Segments(
        name_or_index="" if column is None else column,
        segments=tuple(tuple(segment) for segment in segments),
        config_name=members.text("config_name"),
        display_aliases=aliases,
    )
    members.finish()
    return found
