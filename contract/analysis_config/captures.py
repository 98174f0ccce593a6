"""Captured predictions, with labels or without, as datasets of a bias or attribution job."""

from __future__ import annotations

from dataclasses import replace

from contract.analysis_config.columns import Columns
from contract.analysis_config.json_object import Mistakes
from contract.analysis_config.members import AnalysisConfig, Locator
from contract.analysis_config.nested import name_columns, with_classes
from contract.datasets.capture import CaptureSplit
from contract.datasets.format import DatasetFormat
from contract.datasets.ground_truth_columns import LABEL
from contract.datasets.ground_truth_lines import read_labels
from contract.datasets.label_places import LabelPlaces
from contract.datasets.located_captures import first_sides
from contract.datasets.locations import GROUND_TRUTH, PREFIX, RESPONSE, Location, Locations
from contract.datasets.plan import plan_dataset
from contract.datasets.request import DatasetRequest
from contract.datasets.storage import list_files
from contract.settings import Settings
from contract.wording import several


def arrange_captures(
    settings: Settings, config: AnalysisConfig, request: DatasetRequest, mistakes: Mistakes
) -> tuple[DatasetRequest, Columns]:
    """Return what to read and its columns, for captures."""
    for member in ("facet_dataset_uri", "predicted_label_dataset_uri"):
        if getattr(config, member):
            mistakes.add(f"{member} is for datasets, but captures carry their own columns; leave it out")
    sides = first_sides(list_files(request.source))
    labels_are_csv = sides.pop(GROUND_TRUTH, True) and _single_labels(request)
    inputs = [side for side in sides if side.endswith("Input")]
    if inputs and all(sides.values()) and len(sides) <= 2 and labels_are_csv:
        return _csv_captures(settings, config, request, tuple(sides), mistakes)
    predictor = config.predictor
    predicted = settings.inference_attribute
    probability = settings.probability_attribute
    if predicted is None and probability is None and predictor is not None:
        predicted, probability = _text(predictor.label), _text(predictor.probability)
    truth = settings.ground_truth_attribute
    paths = [
        ("label", truth or _text(config.label), GROUND_TRUTH, "ground_truth_attribute" if truth else "label"),
        ("predicted_label", predicted, RESPONSE, "inference_attribute"),
        ("probability", probability, RESPONSE, "probability_attribute"),
    ]
    others = with_classes(
        [
            Location(name, path, side, variable)
            for name, path, side, variable in paths
            if path is not None or side == GROUND_TRUTH
        ],
        config,
    )
    features = settings.features_attribute or config.features
    variable = "features_attribute" if settings.features_attribute else "features"
    locations = Locations(features, others, variable=variable)
    return name_columns(replace(request, locations=locations), locations, config, mistakes)


def _csv_captures(
    settings: Settings,
    config: AnalysisConfig,
    request: DatasetRequest,
    sides: tuple[str, ...],
    mistakes: Mistakes,
) -> tuple[DatasetRequest, Columns]:
    """Arrange captures whose payloads are all CSV, which are read in bulk."""
    request = replace(
        request,
        format=DatasetFormat(request.format.kind, capture_indices=sides),
        labels=True,
        typed_labels=True,
    )
    plan = plan_dataset(replace(request, window=None, ground_truth_source=None))
    [first, *_] = plan.splits
    widths = _layout_widths(first)
    answers = sum(widths) - widths[-1]
    features = _feature_names(config, widths[-1], mistakes)
    response = tuple(f"response_{at}" for at in range(answers))
    names = (*response, *features)

    def find(path: str | None, variable: str) -> str | None:
        if path is None:
            return None
        if path.isdecimal() and int(path) < answers:
            return response[int(path)]
        mistakes.add(
            f"{variable} is {path!r}, but responses are CSV of {answers} columns; give a zero-based position"
        )
        return None

    predictor = config.predictor
    predicted = find(settings.inference_attribute, "inference_attribute")
    probability = find(settings.probability_attribute, "probability_attribute")
    if predicted is None and probability is None and predictor is not None and not mistakes.texts:
        predicted = find(_text(predictor.label), "predictor.label")
        probability = find(_text(predictor.probability), "predictor.probability")
    columns = Columns(
        names=(*features, LABEL),
        label=LABEL,
        label_name=config.label if isinstance(config.label, str) else LABEL,
        predicted_label=predicted,
        probability=probability,
    )
    return replace(request, column_names=names), columns


def _single_labels(request: DatasetRequest) -> bool:
    """Return whether labels that are joined with the records are cells of CSV, as far as the first says."""
    if request.ground_truth_source is None:
        return True
    files = list_files(request.ground_truth_source, "ground_truth_source")
    first = next(read_labels(files[:1], request.label_places or LabelPlaces()), None)
    if first is None or not len(first.data):
        return True
    return first.encodings[0].as_py() == "CSV" and "," not in first.data[0].as_py()


def _layout_widths(split: object) -> tuple[int, ...]:
    inner = getattr(split, "split", split)
    assert isinstance(inner, CaptureSplit)  # noqa: S101 - captures without locations are read so
    return inner.layout.widths


def _feature_names(config: AnalysisConfig, width: int, mistakes: Mistakes) -> tuple[str, ...]:
    headers, label = config.headers, config.label
    if not headers:
        return tuple(f"{PREFIX}{at}" for at in range(width))
    if isinstance(label, int) and len(headers) == width + 1 and label < len(headers):
        label = headers[label]
    names = tuple(name for name in headers if name != label)
    if len(names) != width:
        mistakes.add(
            f"headers names {several(len(names), 'feature')}, but requests have {width}; name every "
            "feature, in order"
        )
        return tuple(f"{PREFIX}{at}" for at in range(width))
    return names


def _text(locator: Locator | None) -> str | None:
    return None if locator is None else str(locator)
