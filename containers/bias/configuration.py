"""From settings and ``analysis_config.json`` to what the analyzer is asked for, by names of columns."""

import logging
from dataclasses import replace

from analyzers.bias.analyzer import BiasAnalyzer
from analyzers.bias.summary import ALL_POST, ALL_PRE, BiasRequest, FacetRequest
from contract.analysis_config import AnalysisConfig, Methods
from contract.api import Arranged, Dataset, Replay, Settings
from contract.errors import wording
from contract.schema import Mistakes
from contract.wording import listing
from job_runner import clarify
from readers.cell_types import texts_in

_log = logging.getLogger("monitor.bias")


def arrange(settings: Settings, request: Dataset) -> Arranged:
    """Return what ``analysis_config.json`` says to read, and how to make the analyzer it asks for."""
    config = clarify.load_analysis_config(settings, "groups")
    # Captures hold answers, whether or not a model is to be asked.
    predictor = clarify.predictor_of(config)
    config = replace(config, predictor=predictor)
    mistakes = Mistakes(config.where)
    request, columns = clarify.arrange_dataset(settings, config, request, mistakes)
    # A monitor without methods computes all it can.
    wants_predictions = config.methods is None or config.methods.post_training_bias is not None
    model = settings.model or predictor.endpoint_name or predictor.model_name
    if wants_predictions and not columns.has_predictions and model:
        request, columns = clarify.ask_model(settings, config, request, columns, mistakes)
    told = {settings.inference_attribute, config.predicted_label, predictor.label}
    told.add(config.predicted_label_dataset_uri)
    if columns.predicted_label is not None and told == {None} and predictor.label_headers:
        # Predictions are the classes with the largest scores.
        classes = list(map(str, predictor.label_headers))
        words = [value for value in config.label_values_or_threshold if isinstance(value, str)]
        if others := [value for value in words if value not in classes]:
            members = {"values": listing(others), "classes": listing(classes)}
            mistakes.add("column.no_class", field="label_values_or_threshold", **members)
    segments = clarify.segment_columns(config, columns, mistakes)
    wanted = bias_request(settings, config, columns, mistakes)
    if columns.predicted_label is not None and columns.probability is not None:
        predicted, scores = columns.predicted_label, columns.probability
        request.said.say("reading.scores", predicted=predicted, scores=scores)
    if request.prediction is None:  # a model's are refused
        absent = Mistakes(config.where)
        clarify.model_features(config, columns, absent)
        for one in absent.found:
            request.said.say("reading.excluded", text=one.text)
    for name, is_used, why in (
        ("model", request.prediction is not None, "no predictions are asked for that the data does not hold"),
        ("probability_threshold_attribute", wanted.probability is not None, "no scores are read"),
    ):
        # Beside inference_attribute it is logged with the settings.
        is_told = name == "probability_threshold_attribute" and settings.inference_attribute is not None
        if name in settings.given and not is_used and not is_told:
            request.said.say("reading.no_effect", field=name, why=why)
    if request.cells is not None:
        listed = texts_in([wanted.label_values, *(facet.values for facet in wanted.facets)])
        within = (member for segment in segments for values in segment.segments for member in values)
        values = request.cells.listed.union(listed, map(str, within))
        request = replace(request, cells=replace(request.cells, judged=True, listed=values))
    roles = ("label", "predicted_label", "probability", "group_variable")
    named = [f"{role} {name!r}" for role in roles if (name := getattr(wanted, role)) is not None]
    named += [f"facet {' & '.join(facet.columns)!r}" for facet in wanted.facets]
    _log.info(wording("bias_configuration.columns", columns=", ".join(named)))
    request = only_needed(replace(request, segments=segments), wanted, columns, settings)
    return request, lambda settings, plan: BiasAnalyzer(settings.rules, wanted)


def adjust(settings: Settings) -> Settings:
    """Return the settings with the segments of ``analysis_config.json``."""
    segments = clarify.load_analysis_config(settings, "groups").segment_config
    return replace(settings, segment_by=(*settings.segment_by, *map(clarify.segment_name, segments)))


# What was asked for is in the statistics: metrics and their counts.
_NOTHING = BiasRequest(label="", label_values=(), facets=(), pre_training=None, post_training=None)
_CONSTRAINTS = {"pre_training_bias_metrics", "post_training_bias_metrics"}
REPLAY = Replay(
    make_checker=lambda rules, checking, statistics: BiasAnalyzer(rules, _NOTHING),
    has_written=lambda document: "facets" in document,
    takes=lambda document: not _CONSTRAINTS.isdisjoint(document),
)


def bias_request(
    settings: Settings, config: AnalysisConfig, columns: clarify.Columns, mistakes: Mistakes
) -> BiasRequest:
    """Return what to measure.

    Parameters
    ----------
    columns
        Those of the data.
    mistakes
        What is known to be wrong so far.

    Raises
    ------
    ConfigurationError
        With every column that is not in the data, and when predictions are missing that metrics need.
    """
    facets: list[FacetRequest] = []
    places: dict[tuple[tuple[str, ...], frozenset[object]], int] = {}
    names, headers = columns.names, config.headers
    if columns.facets:
        names, headers = columns.facets, config.facet_headers
    taken = dict.fromkeys((columns.probability, columns.predicted_label), "the prediction")
    taken[columns.label] = "the label"
    for number, facet in enumerate(config.facet):
        place = f"facet[{number}].name_or_index"
        found = [clarify.find_column(one, names, place, mistakes, headers) for one in facet.name_or_index]
        if settings.rules == "sound":
            for name in filter(None, {*found} & {*taken}):
                mistakes.add("column.not_groups", field=place, column=name, what=taken[name])
        asked = FacetRequest(tuple(name or "" for name in found), facet.value_or_threshold)
        first = places.setdefault((asked.columns, frozenset(asked.values)), number)
        if first != number and all(found) and settings.rules == "sound":
            mistakes.add("column.facet_again", field=place, other=f"facet[{first}]")
        facets.append(asked)
    strata = config.group_variable
    group = clarify.find_column(strata, columns.names, "group_variable", mistakes, config.headers)
    if group in taken and group and settings.rules == "sound":
        mistakes.add("column.not_groups", field="group_variable", column=group, what=taken[group])
    methods = config.methods or Methods(ALL_PRE, ALL_POST if columns.has_predictions else None)
    if methods.post_training_bias is not None and not columns.has_predictions:
        mistakes.add("bias_configuration.predictions", field="methods.post_training_bias")
    clarify.log_other_methods(config, ("shap", "pdp"), _log)
    clusters = clarify.cluster_columns(settings, columns, mistakes)
    mistakes.stop_if_any()
    if config.methods is None and not columns.has_predictions:
        _log.warning(wording("bias_configuration.only_data"))
    threshold = settings.probability_threshold
    return BiasRequest(
        label=columns.label or "",
        label_values=config.label_values_or_threshold,
        facets=tuple(facets),
        group_variable=group,
        predicted_label=columns.predicted_label,
        probability=columns.probability if columns.predicted_label is None else None,
        probability_threshold=config.probability_threshold if threshold is None else threshold,
        pre_training=methods.pre_training_bias,
        post_training=methods.post_training_bias,
        label_name=columns.label_name,
        features=columns.features or None,
        cluster_by=clusters,
        joined=settings.ground_truth_source is not None,
    )


def only_needed(
    request: Dataset, wanted: BiasRequest, columns: clarify.Columns, settings: Settings
) -> Dataset:
    """Leave out the columns that no metric looks at; the flip test looks at all of them."""
    tests_flips = wanted.post_training is not None and "FT" in wanted.post_training
    if tests_flips or request.format.kind not in ("csv", "parquet") or request.prediction is not None:
        return request
    needed = {wanted.label, wanted.group_variable, wanted.predicted_label, wanted.probability}
    divided = (*settings.segment_by, *settings.cluster_by)
    needed |= {name for facet in wanted.facets for name in facet.columns}.union(divided)
    needed |= {segment.source for segment in request.segments}
    unneeded = tuple(name for name in columns.names if name not in needed)
    # A name of digits would be taken for a position.
    if any(name.isdecimal() for name in (*columns.names, *divided)) or request.beside:
        return request
    return replace(request, exclude=(*request.exclude, *unneeded))
