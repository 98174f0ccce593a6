"""What an analysis configuration says, for tabular data: one frozen dataclass per JSON object.

Members are called as in the file, and hold what it holds; lists are tuples. What the file leaves out has
the documented default, or is None where its absence means something. Every mistake of a file is reported
at once, each with its path and the nearest fix.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from contract import schema
from contract.schema import JsonObject, Mistakes, checked, member, read_members, text, values

Kind = Literal["groups", "attribution"]
Value = int | float | str
# A column's name, its zero-based position, or a JMESPath expression.
Locator = str | int
ContentType = Literal["text/csv", "application/jsonlines", "application/json"]
DatasetType = Literal[ContentType, "application/x-parquet", "application/sagemakercapturejson"]
AggMethod = Literal["mean_abs", "median", "mean_sq"]

PRE_TRAINING_METRICS = ("CDDL", "CI", "DPL", "JS", "KL", "KS", "LP", "TVD")
POST_TRAINING_METRICS = (
    *("AD", "CDDPL", "DAR", "DCA", "DCR", "DI", "DPPL"),
    *("DRR", "FT", "GE", "RD", "SD", "TE"),
)
# Names that older guides give to metrics.
_ALIASES = {"DCACC": "DCA", "DCACCEPTANCE": "DCA", "DCREJ": "DCR"}
# The names of endpoints begin with it, and have room for 63 characters.
_PREFIX = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,21}[a-zA-Z0-9])?")
_IMAGES = "images, but only tabular data is analysed"
_OTHER_TYPES = {"application/x-image": _IMAGES}
_OTHER_CONTENT = dict.fromkeys(("image/jpeg", "image/png", "application/x-npy"), _IMAGES)
_VALUES = "text and numbers"
_BASELINE = "the URI of a file, or a list of rows, each a list of text, numbers and null, or an object"

_locators = values(schema.is_locator, "names and zero-based positions")


def _metrics(known: tuple[str, ...]) -> schema.Reader:
    """Return what reads an object with the names of metrics; ``all`` becomes all names."""

    def read(members: JsonObject) -> tuple[str, ...]:
        asked = members.raw("methods")
        members.finish()
        if asked is None or (isinstance(asked, str) and asked.strip().casefold() == "all"):
            return known
        if not isinstance(asked, list) or not all(isinstance(name, str) for name in asked) or not asked:
            expected = 'the text "all" or a list of names of metrics'
            members.wrong("methods", expected, f'["{known[0]}","{known[1]}"]')
            return known
        names = {name.strip().upper(): name for name in asked}
        for name in names.keys() - set(known):
            alias = _ALIASES.get(name)
            hint = f": did you mean {alias}?" if alias in known else schema.suggestion(name, known)
            members.note("methods", "analysis_config.metric", name=names[name], hint=hint)
        return tuple(name for name in known if name in names)

    return schema.nested(read)


def _is_baseline(value: Any) -> bool:
    if not isinstance(value, list):
        return isinstance(value, str | dict) and bool(value)
    are_cells = (
        isinstance(row, list) and all(cell is None or isinstance(cell, str | int | float) for cell in row)
        for row in value
    )
    return bool(value) and (all(isinstance(row, dict) for row in value) or all(are_cells))


_baseline = checked(_is_baseline, _BASELINE, "[[35, null, 0.5]]")


def _is_prefix(value: Any) -> bool:
    return isinstance(value, str) and bool(_PREFIX.fullmatch(value))


def _is_template(value: Any) -> bool:
    texts = list(value.values()) if isinstance(value, dict) else [value or None]
    return all(isinstance(text, str) for text in texts)


def _once(is_name: Callable[[Any], bool], what: str) -> schema.Reader:
    """Return a reader of names of which no two are the same."""

    def read(members: JsonObject, key: str) -> tuple[Any, ...]:
        names: tuple[Any, ...] = values(is_name, what)(members, key)
        texts = list(map(str, names))
        repeated = next((text for text in texts if texts.count(text) > 1), None)
        if repeated is not None:
            members.note(key, "analysis_config.name_twice", name=repeated)
        return names

    return read


_names = _once(schema.is_text, "texts")


def _entries(members: JsonObject, key: str, example: str) -> JsonObject:
    """Return the elements of a list of objects as members, such as ``facet[0]``."""
    entries = members.checked(key, lambda value: isinstance(value, list), "a list of objects", example) or []
    named = {f"{key}[{at}]": entry for at, entry in enumerate(entries)}
    return JsonObject(named, members.path, members.mistakes)


def _facets(members: JsonObject, key: str) -> "tuple[Facet, ...]":
    example = '[{"name_or_index":"sex","value_or_threshold":["female"]}]'
    lists = _entries(members, key, example), _entries(members, "facets", example)
    facets = (_facet(entries, place) for entries in lists for place in entries.members)
    return tuple(facet for facet in facets if facet is not None)


def _facet(entries: JsonObject, place: str) -> "Facet | None":
    if not isinstance(entries.raw(place), dict):
        names = _facet_columns(entries, place)
        return None if names is None else Facet(names)
    members = entries.within(place)
    facet = read_members(Facet, members)
    if members.raw("name_or_index") is None:
        members.require("name_or_index", '"name_or_index":"sex"')
    return facet if facet.name_or_index else None


def _facet_columns(members: JsonObject, key: str) -> tuple[str | int, ...] | None:
    value = members.raw(key)
    columns = value if isinstance(value, list) else [value]
    if value is None:
        return None
    if not columns:
        members.note(key, "analysis_config.no_column")
    elif not all(map(schema.is_locator, columns)):
        members.wrong(key, "a name, a zero-based position, or a list of these")
    elif len(set(columns)) < len(columns):
        members.note(key, "analysis_config.column_twice", value=schema.shown(value))
    else:
        return tuple(columns)
    return None


def _facet_values(members: JsonObject, key: str) -> Any:
    columns = members.members.get("name_or_index")
    count = len(columns) if isinstance(columns, list) else 1
    if count < 2:
        return values(schema.is_value, _VALUES)(members, key)

    def fits(value: Any) -> bool:
        return isinstance(value, list) and len(value) == count and all(map(schema.is_value, value))

    expected = f"lists of {count} values, one for each column of name_or_index"
    return tuple(tuple(cells) for cells in values(fits, expected)(members, key))


def _all_segments(members: JsonObject, key: str) -> "tuple[Segments, ...]":
    entries = _entries(members, key, '[{"name_or_index":"age","segments":[["[18, 30]"]]}]')
    return tuple(_segments(entry) for entry in entries.objects().values())


def _segments(members: JsonObject) -> "Segments":
    found = read_members(Segments, members)
    if members.members:
        members.require("name_or_index", '"name_or_index":"age"')
        members.require("segments", '"segments":[["[18, 30]"]]')
    aliases, count = len(set(found.display_aliases)), len(found.segments)
    if found.display_aliases and aliases not in (count, count + 1):
        members.note("display_aliases", "analysis_config.aliases", names=aliases, segments=count)
    return found


def _segment_values(members: JsonObject, key: str) -> tuple[tuple[str | int, ...], ...]:
    def fits(segment: Any) -> bool:
        cells = segment if isinstance(segment, list) else []
        return bool(cells) and all(isinstance(cell, str | int) for cell in cells)

    example = '[["a","b"],["[1, 4]","(5, 6]"]]'
    found = values(fits, "lists of values or intervals", example)(members, key)
    return tuple(tuple(segment) for segment in found)


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

    name_or_index: tuple[Locator, ...] = member(_facet_columns, ())
    value_or_threshold: tuple[Value, ...] | tuple[tuple[Value, ...], ...] = member(_facet_values, ())


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

    name_or_index: Locator = member(schema.locator, "")
    segments: tuple[tuple[str | int, ...], ...] = member(_segment_values, ())
    config_name: str | None = member(text)
    display_aliases: tuple[str, ...] = member(values(schema.is_text, "texts"), ())


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

    baseline: str | list[Any] | dict[str, Any] | None = member(_baseline)
    num_clusters: int | None = member(schema.whole_number(1))
    use_logit: bool = member(schema.switch, False)
    num_samples: int | None = member(schema.whole_number(1))
    agg_method: AggMethod = member(schema.choice(get_args(AggMethod)), "mean_abs")
    save_local_shap_values: bool = member(schema.switch, False)
    seed: int | None = member(schema.whole_number())
    features_to_explain: tuple[Locator, ...] = member(_locators, ())


@dataclass(frozen=True)
class PartialDependenceConfig:
    """``methods.pdp``. The originals' schema requires `grid_resolution`, although their SDK has a default."""

    grid_resolution: int = member(schema.whole_number(1), 15)
    features: tuple[Locator, ...] = member(_locators, ())
    top_k_features: int = member(schema.whole_number(1), 10)


@dataclass(frozen=True)
class ReportConfig:
    """``methods.report``."""

    name: str = member(text, "report")
    title: str = member(text, "SageMaker Analysis Report")


@dataclass(frozen=True)
class Methods:
    """What to compute; None is not asked for.

    Parameters
    ----------
    pre_training_bias, post_training_bias
        Names of metrics; ``all`` has become all names.
    """

    pre_training_bias: tuple[str, ...] | None = member(_metrics(PRE_TRAINING_METRICS))
    post_training_bias: tuple[str, ...] | None = member(_metrics(POST_TRAINING_METRICS))
    shap: ShapConfig | None = member(
        schema.child(ShapConfig, refused={"text_config": "text", "image_config": "images"})
    )
    pdp: PartialDependenceConfig | None = member(schema.child(PartialDependenceConfig))
    report: ReportConfig | None = member(schema.child(ReportConfig))


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

    endpoint_name: str | None = member(text)
    endpoint_name_prefix: str | None = member(
        checked(_is_prefix, "at most 23 letters, digits and hyphens within", '"sm-clarify"')
    )
    model_name: str | None = member(text)
    target_model: str | None = member(text)
    instance_type: str | None = member(text)
    initial_instance_count: int | None = member(schema.whole_number(1))
    accelerator_type: str | None = member(text)
    content_type: ContentType | None = member(schema.choice(get_args(ContentType), _OTHER_CONTENT))
    accept_type: ContentType | None = member(schema.choice(get_args(ContentType)))
    label: Locator | None = member(schema.locator)
    probability: Locator | None = member(schema.locator)
    label_headers: tuple[str | int, ...] = member(
        _once(lambda value: type(value) in (str, int), "texts and whole numbers"), ()
    )
    content_template: str | dict[str, str] | None = member(
        checked(_is_template, "text, or an object of texts", '"{\\"features\\":$features}"')
    )
    record_template: str | None = member(text)
    custom_attributes: str | None = member(text)


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

    version: str = member(checked(lambda value: value == "1.0", 'the text "1.0"'), "1.0")
    dataset_type: DatasetType | None = member(schema.choice(get_args(DatasetType), _OTHER_TYPES))
    dataset_uri: str | None = member(text)
    headers: tuple[str, ...] = member(_names, ())
    label: Locator | None = member(schema.locator)
    predicted_label: Locator | None = member(schema.locator)
    features: str | None = member(text)
    label_values_or_threshold: tuple[Value, ...] = member(values(schema.is_value, _VALUES), ())
    probability_threshold: float = member(schema.share, 0.5)
    segment_config: tuple[Segments, ...] = member(_all_segments, ())
    facet: tuple[Facet, ...] = member(_facets, ())
    facet_dataset_uri: str | None = member(text)
    facet_headers: tuple[str, ...] = member(_names, ())
    predicted_label_dataset_uri: str | None = member(text)
    predicted_label_headers: tuple[str, ...] = member(_names, ())
    excluded_columns: tuple[Locator, ...] = member(_locators, ())
    joinsource_name_or_index: Locator | None = member(schema.locator)
    group_variable: Locator | None = member(schema.locator)
    methods: Methods | None = member(
        schema.child(Methods, refused={"asymmetric_shapley_value": "time series"})
    )
    predictor: PredictorConfig | None = member(
        schema.child(PredictorConfig, refused={"time_series_predictor_config": "time series"})
    )
    where: str = field(default="analysis_config.json", compare=False)


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
        ``attribution`` needs ``methods.shap`` or ``methods.pdp``.

    Raises
    ------
    ConfigurationError
        With every mistake, each naming the member and the fix.
    """
    mistakes = Mistakes(where)
    members = JsonObject(value, "", mistakes)
    refused = {"time_series_data_config": "time series"}
    config = read_members(AnalysisConfig, members, refused=refused, where=where)
    if isinstance(value, dict):
        _contradictions(config, mistakes)
        _require(config, members, kind)
    mistakes.stop_if_any()
    return config


def _contradictions(config: AnalysisConfig, mistakes: Mistakes) -> None:
    """Note members that exclude each other, and templates without the tokens that they are filled by."""
    shap = config.methods and config.methods.shap
    if shap and shap.baseline is not None and shap.num_clusters is not None:
        mistakes.add("analysis_config.baseline_twice", field="methods.shap.baseline")
    predictor = config.predictor
    if predictor is None or not isinstance(predictor.content_template, str):
        return
    template, kind = predictor.content_template, predictor.content_type
    if kind == "application/jsonlines" and "$features" not in template:
        mistakes.add("analysis_config.no_features", field="predictor.content_template")
    if kind == "application/json" and "$record" not in template:
        mistakes.add("analysis_config.no_records", field="predictor.content_template")
    elif kind == "application/json" and predictor.record_template is None:
        mistakes.add("analysis_config.no_record_template", field="predictor.record_template")


def _require(config: AnalysisConfig, members: JsonObject, kind: Kind) -> None:
    """Note what an analysis of this kind cannot do without."""
    methods, given = config.methods, members.members.get("methods")
    asked = given if isinstance(given, dict) else {}
    if kind == "attribution":
        if methods is None or not (methods.shap or methods.pdp or asked.keys() & {"shap", "pdp"}):
            members.note("methods.shap", "members.required", example='"methods":{"shap":{}}')
        elif methods.pdp and "shap" not in asked and not methods.pdp.features:
            fix = '"features":["age"], or "shap":{} beside it for those with the largest attributions'
            members.note("methods.pdp.features", "members.required", example=fix)
        return
    bias = ("pre_training_bias", "post_training_bias")
    if methods is not None and not any(getattr(methods, key) or key in asked for key in bias):
        members.note("methods", "analysis_config.no_metric")
    members.require("label", '"label":"approved"')
    members.require("label_values_or_threshold", '"label_values_or_threshold":[1]')
    if not members.members.get("facets"):
        members.require("facet", '"facet":[{"name_or_index":"sex","value_or_threshold":["female"]}]')
