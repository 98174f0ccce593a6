"""Reading ``analysis_config.json``: every mistake in one report, each with its path and the nearest fix."""

from __future__ import annotations

from typing import Any, Literal, get_args

from contract.analysis_config.json_object import (
    JsonObject,
    Mistakes,
    is_locator,
    is_text,
    is_value,
    shown,
)
from contract.analysis_config.members import AnalysisConfig, DatasetType, Facet, Segments
from contract.analysis_config.methods import read_methods
from contract.analysis_config.predictor import read_predictor

Kind = Literal["bias", "attribution"]

_VALUES = "text and numbers"
_COLUMNS = "names and zero-based positions"
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
        What the configuration is for: ``bias`` needs a label, its positive values and a facet;
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
        if methods is None or (methods.shap is None and "shap" not in (members.members["methods"] or {})):
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
