"""What a request means under sound rules, and the sentences where it cannot be met."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from refusals import refused
from sentences import says

from analyzers.bias.analyzer import BiasAnalyzer
from analyzers.bias.describe import describe
from analyzers.bias.documents import BiasConstraints, BiasStatistics
from analyzers.bias.summary import BiasRequest, FacetRequest, SummaryPlan, summarize
from contract.api import Baseline, State
from contract.errors import DatasetError, DocumentError

_LABELS = [0, 1] * 20


def _request(column: str = "g", *values: Any, **changes: Any) -> BiasRequest:
    plain = BiasRequest("y", (1,), (FacetRequest((column,), values),), post_training=None)
    return replace(plain, **changes)


def _statistics(columns: dict[str, Any], request: BiasRequest, rules: Any = "sound") -> BiasStatistics:
    analyzer = BiasAnalyzer(rules, request)
    return analyzer.describe(analyzer.summarize([pa.RecordBatch.from_pydict(columns)]))


def _groups(columns: dict[str, Any], request: BiasRequest) -> list[tuple[str, float | None, int]]:
    columns.setdefault("y", [place % 2 for place in range(len(next(iter(columns.values()))))])
    return [
        (facet.value_or_threshold, facet.threshold, int(np.sum(facet.counts[1])))
        for facet in _statistics(columns, request).facets
    ]


@pytest.mark.parametrize(
    ("values", "listed", "expected"),
    [
        # Codes: few whole numbers, of which the listed is one, or none at all like it.
        ([0, 1] * 8, 0, ("0", None, 8)),
        ([0.0, 1.0] * 8, 0, ("0", None, 8)),
        ([1, 1, 1, 1], 0, ("0", None, 0)),
        ([0, 1] * 8, 7, ("7", None, 0)),
        (["0", "1"] * 8, 0, ("0", None, 8)),
        ([True, False, True], 1, ("1", None, 2)),
        ([True, False, True], "true", ("true", None, 2)),
        (["a", "b", "1"], 1, ("1", None, 1)),
        (["01", "02", "03"], "02", ("02", None, 1)),
        # Thresholds: many numbers, fractions, or a number between others.
        (list(range(18, 90)), 40, ("(40, 89]", 40.0, 49)),
        (list(range(18, 90)), "40", ("(40, 89]", 40.0, 49)),
        ([str(age) for age in range(18, 90)], 40, ("(40, 89]", 40.0, 49)),
        ([0.5, 1.5, 2.5], 1, ("(1.0, 2.5]", 1.0, 2)),
        ([0, 1, 2, 3], 1.5, ("(1.5, 3.0]", 1.5, 2)),
        ([10, 20, 50, 60], 40, ("(40, 60]", 40.0, 2)),
        (list(range(18, 90)), 200, ("(89, 200]", 200.0, 0)),
        (list(range(2_000)), 999, ("(999, 1999]", 999.0, 1_000)),
        ([-28.9, -32.7, -48.6], -40, ("(-40.0, -28.9]", -40.0, 2)),
    ],
)
def test_one_listed_value(values: list[Any], listed: Any, expected: tuple[str, float | None, int]) -> None:
    (found,) = _groups({"g": values}, _request("g", listed))
    assert found[1:] == expected[1:]
    assert found[0].replace(".0", "") == expected[0].replace(".0", "")


def test_the_number_of_rows_plays_no_part() -> None:
    # By the rule of 5 %, forty rows or fewer turn the group around.
    for copies in (1, 5, 40, 400):
        (group,) = _groups({"g": [0, 1, 1] * copies}, _request("g", 0))
        assert group == ("0", None, copies)


def test_several_values_are_one_group() -> None:
    assert _groups({"g": ["a", "b", "c", "a"]}, _request("g", "a", "c")) == [("a,c", None, 3)]
    assert _groups({"g": [18, 40, 50, 40]}, _request("g", 40, 50)) == [("40,50", None, 3)]


def test_one_date_is_a_value_and_said_to_be() -> None:
    days = [f"2026-{month:02d}-{day:02d}" for month in range(1, 9) for day in range(1, 11)]
    columns = {"g": days, "y": [0, 1] * 40}
    found = _statistics(columns, _request("g", "2026-03-05"))
    assert [facet.threshold for facet in found.facets] == [None]
    assert says(found.notes, "bias_groups.date", name="g", value="2026-03-05")
    assert not _statistics({**columns, "g": days[:2] * 40}, _request("g", days[0])).notes


def test_without_values_every_group_comes_in_turn() -> None:
    assert _groups({"g": ["b", "a", "b", None]}, _request("g")) == [("b", None, 2), ("a", None, 1)]
    assert _groups({"g": [1, 1.0, 0]}, _request("g")) == [("1.0", None, 2), ("0.0", None, 1)]


def test_intersections() -> None:
    columns: dict[str, Any] = {"sex": ["f", "m", "f", "m"] * 10, "age": list(range(20, 60))}
    listed = FacetRequest(("sex", "age"), (("f", 40),))
    request = BiasRequest("y", (1,), (listed,), post_training=None)
    assert _groups(columns, request) == [("f & >40", None, 9)]
    columns["age"] = ["young", "old"] * 20
    combined = replace(request, facets=(FacetRequest(("sex", "age")),))
    assert _groups(columns, combined) == [("f & young", None, 20), ("m & old", None, 20)]
    assert _statistics(columns, combined).facets[0].facet == "sex & age"


def test_labels_of_several_classes_and_numbers() -> None:
    columns = {"g": ["a", "b"] * 10, "y": ["yes", "no", "maybe", "no"] * 5}
    statistics = _statistics(columns, _request("g", "a", label_values=("yes", "maybe")))
    assert statistics.label_value_or_threshold == "yes,maybe"
    assert statistics.facets[0].counts == [[[10, 0], [0, 0]], [[0, 0], [10, 0]]]
    columns["y"] = [place / 3 for place in range(20)]
    statistics = _statistics(columns, _request("g", "a", label_values=(5,)))
    assert statistics.label_value_or_threshold == f"(5.0, {19 / 3}]"


def test_a_window_is_read_as_its_baseline_was() -> None:
    request = _request("age", 40)
    analyzer = BiasAnalyzer("sound", request)
    many = {"age": list(range(18, 90)), "y": [0, 1] * 36}
    few = {"age": [30, 40, 40, 50], "y": [0, 1, 0, 1]}
    baseline_statistics = _statistics(many, request)
    constraints: BiasConstraints = analyzer.suggest(baseline_statistics, None)
    window = _statistics(few, request)
    assert window.facets[0].threshold is None
    for baseline in (Baseline(None, constraints), Baseline(baseline_statistics, None)):
        again = analyzer.estimate(window, baseline)
        assert again.facets[0].value_or_threshold == "(40, 50]"
        assert np.sum(again.facets[0].counts[1]) == 1
    assert analyzer.estimate(window, Baseline()).facets[0].threshold is None


def test_every_group_is_compared_with_the_best() -> None:
    generator = np.random.default_rng(0)
    group = np.repeat(["a", "b", "c", "tiny"], [400, 400, 400, 3])
    rate = np.repeat([0.2, 0.5, 0.8, 1.0], [400, 400, 400, 3])
    columns = {"g": group, "y": (generator.random(1_203) < rate).astype(int)}
    first, *others = _statistics(columns, _request("g", "a", facets=(FacetRequest(("g",)),))).facets
    assert first.against_best is not None
    assert first.against_best.value_or_threshold == "c"
    counts = {name: columns["y"][group == name] for name in ("a", "c")}
    difference = next(metric for metric in first.against_best.metrics if metric.name == "DPL")
    assert difference.value == pytest.approx(counts["c"].mean() - counts["a"].mean())
    assert [facet.against_best and facet.against_best.value_or_threshold for facet in others] == [
        "c",
        None,
        "c",
    ]
    (listed,) = _statistics(columns, _request("g", "a")).facets
    assert listed.against_best is not None
    assert listed.against_best.value_or_threshold == "c"


def test_two_groups_need_no_best() -> None:
    assert _statistics({"g": [0, 1] * 50, "y": [0, 1] * 50}, _request("g", 0)).facets[0].against_best is None


# --- sentences --------------------------------------------------------------------------------------------


def _refusal(columns: dict[str, Any], request: BiasRequest, rules: Any = "sound") -> DatasetError:
    statistics = _statistics(columns, request, rules)
    with pytest.raises(DatasetError) as refused:
        BiasAnalyzer(rules, request).suggest(statistics, None)
    return refused.value


def test_a_facet_that_is_not_there() -> None:
    columns = {"gender": ["a", "b"], "y": [0, 1]}
    error = _refusal(columns, _request("gendr", "a"))
    assert (error.code, error.field, error.fix) == ("bias_groups.unknown", "gendr", "did you mean 'gender'?")
    request = _request("z", "a")
    error = _refusal(columns, request, "sagemaker")
    assert says(str(error), "bias_groups.absent", role="Facet", field="z")


def test_too_many_values_to_compare_in_turn() -> None:
    columns = {"city": [f"city {number}" for number in range(10_000)], "y": [0, 1] * 5_000}
    error = _refusal(columns, _request("city"))
    assert (error.code, error.field) == ("bias_groups.values", "city")
    assert "10,000 distinct values, more than the 100" in error.message
    pairs = {"a": list(range(30)) * 20, "b": list(range(20)) * 30, "y": [0, 1] * 300}
    request = _request("a", facets=(FacetRequest(("a", "b")),))
    assert "has 60 combinations" not in str(_statistics(pairs, request).problems)
    pairs["b"] = [number % 19 for number in range(600)]
    error = _refusal(pairs, request)
    assert (error.code, error.field) == ("bias_groups.combinations", "a & b")
    assert "570 combinations of values, more than the 100" in error.message


def test_no_row_is_of_any_group() -> None:
    columns = {"sex": ["f", "m"] * 10, "age": list(range(20, 40)), "y": [0, 1] * 10}
    nobody = FacetRequest(("sex",), ("w",))
    both = FacetRequest(("sex", "age"), (("w", 30),))
    error = _refusal(columns, _request("sex", facets=(nobody, both)))
    assert error.code == "bias_groups.nobody"
    assert "the group sex = w: 'sex' holds 'f', 'm'" in error.message
    assert "the group sex & age = w & 30: 'sex' holds 'f', 'm'" in error.message
    apart = FacetRequest(("sex", "age"), (("f", 21),))
    error = _refusal(columns, _request("sex", facets=(apart,)))
    assert error.code == "bias_groups.nobody"
    assert "the group sex & age = f & 21" in error.message
    assert "never occur together" in error.message
    for facet in (FacetRequest(("sex",), ("f",)), FacetRequest(("sex",))):
        request = _request("sex", facets=(nobody, facet))
        assert BiasAnalyzer("sound", request).suggest(_statistics(columns, request), None).pre


def test_predictions_that_are_scores() -> None:
    request = BiasRequest("y", (1,), (FacetRequest(("g",), (0,)),), predicted_label="p")
    columns = {"g": [0, 1, 1, 0] * 50, "y": _LABELS * 5, "p": [number / 199 for number in range(200)]}
    error = _refusal(columns, request)
    assert (error.code, error.field) == ("bias_groups.scores", "predicted_label")
    assert "'p' holds scores from 0 to 1" in error.message
    columns["y"] = [0.5, 1.5] * 100  # a threshold for both
    assert BiasAnalyzer("sound", request).suggest(_statistics(columns, request), None).post


def test_labels_that_are_not_there() -> None:
    columns = {"g": ["a", "b"], "label": [0, 1]}
    error = _refusal(columns, _request("g", "a", label="lable"))
    assert (error.code, error.field, error.fix) == ("bias_groups.unknown", "lable", "did you mean 'label'?")
    columns["label"] = [None, None]
    error = _refusal(columns, _request("g", "a", label="label"))
    assert (error.code, error.field) == ("bias_request.empty", "label")


def test_a_window_without_labels_keeps_what_needs_none() -> None:
    request = BiasRequest("y", (1,), (FacetRequest(("g",), (0,)),), predicted_label="p")
    statistics = _statistics({"g": _LABELS, "p": [0, 0, 1, 1] * 10}, request)
    assert not statistics.has_labels
    facet = statistics.facets[0]
    known = {metric.name for metric in [*(facet.pre or []), *(facet.post or [])] if metric.value is not None}
    assert known == {"CI", "DI", "DPPL", "FT"}
    assert facet.metric("DPL").error == "No row has a label"  # type: ignore[union-attr]  # it was asked for


def test_dependence_of_rows_is_said_once() -> None:
    outcomes = [place // (20 + 30 * (place % 3)) % 2 for place in range(1500)]
    statistics = _statistics({"g": ["a", "b", "c"] * 500, "y": outcomes}, _request("g"))
    assert len({facet.design_effect for facet in statistics.facets}) > 1
    effect = max(facet.design_effect or 1.0 for facet in statistics.facets)
    assert says(statistics.notes, "quality_notes.dependent", rows=1500, enough=round(1500 / effect))
    assert sum("depend on each other" in note for note in statistics.notes) == 1


def test_a_model_that_never_says_yes() -> None:
    request = BiasRequest("y", (1,), (FacetRequest(("g",), (0,)),), predicted_label="p")
    columns = {"g": [0, 1, 1, 0] * 50, "y": _LABELS * 5, "p": [0] * 200}
    impact = _statistics(columns, request).facets[0].metric("DI")
    assert impact is not None
    assert impact.value == 0.0
    assert "No Label values are present" in str(_refusal(columns, request, "sagemaker"))


def test_clarify_reads_columns_as_pandas_types_them() -> None:
    columns: dict[str, Any] = {"g": [0, 1, 1, None] * 50, "y": [1, 0, 1, 0] * 50}
    statistics = _statistics(columns, _request("g", 0), "sagemaker")
    # A missing cell makes whole numbers fractional, hence continuous, and 0 a threshold.
    assert statistics.facets[0].value_or_threshold == "(0.0, 1.0]"
    assert statistics.label_value_or_threshold == "1"
    columns["g"] = ["0", "1", "1", None] * 50
    assert _statistics(columns, _request("g", 0), "sagemaker").facets[0].value_or_threshold == "0"


def test_clarify_takes_numbers_beside_text_for_text() -> None:
    analyzer = BiasAnalyzer("sagemaker", _request("g", 1))
    batches = [pa.RecordBatch.from_pydict({"g": g, "y": [0, 1] * 50}) for g in ([1] * 100, ["1", "x"] * 50)]
    statistics = analyzer.describe(analyzer.summarize(batches))
    assert np.sum(statistics.facets[0].counts[1]) == 150


@pytest.mark.parametrize("other", ["female", "FEMALE ", "Female  "])
def test_values_told_apart_by_letter_case_only_are_named(other: str) -> None:
    groups = ["Female", other, "Male", "Male"] * 10
    found = _statistics({"g": groups, "y": _LABELS}, _request())
    alike = [note for note in found.notes if "letter case" in note]
    assert len(alike) == (other.strip() != "Female")
    plain = _statistics({"g": ["Female", "Male"] * 20, "y": _LABELS}, _request())
    assert not any("letter case" in note for note in plain.notes)


def test_labels_and_predictions_in_other_words_are_named() -> None:
    request = _request(post_training=("DI",), predicted_label="p")
    table = {"g": ["a", "b"] * 20, "y": _LABELS}
    same = _statistics({**table, "p": ["1", "0"] * 20}, request)
    assert not any("no label" in note for note in same.notes)
    other = _statistics({**table, "p": ["1", "maybe"] * 20}, request)
    assert any("'p' predicts 'maybe', which no label of these rows is" in note for note in other.notes)


def test_scores_on_another_scale_than_their_threshold() -> None:
    request = BiasRequest(
        "y", (1,), (FacetRequest(("g",), (0,)),), probability="p", probability_threshold=0.5
    )
    columns: dict[str, Any] = {"g": [0, 1, 1, 0] * 50, "y": _LABELS * 5, "p": [20.0, 90.0] * 100}
    for scores in ([20.0, 90.0], [0.3, 90.0, 40.0, 20.0], [-2.0, 3.0, 0.4, -0.1]):  # percent, log-odds
        error = _refusal({**columns, "p": (scores * 100)[:200]}, request)
        assert (error.code, error.field) == ("bias_groups.scale", "p")
    for scores, noted in (([0.2, 90.0], True), ([-0.5, 0.7, 2.0, 0.9], True), ([0.2, 1.0], False)):
        columns["p"] = (scores * 100)[:200]
        assert any("outside 0 to 1" in note for note in _statistics(columns, request).notes) is noted
    at_zero = replace(request, probability_threshold=0.0)
    assert not any(
        "outside" in note for note in _statistics({**columns, "p": [-2.0, 3.0] * 100}, at_zero).notes
    )


def test_predictions_of_the_other_label_are_noted() -> None:
    request = BiasRequest("y", (1,), (FacetRequest(("g",), (0,)),), predicted_label="p")
    table = {"g": [0, 1, 1, 0] * 10, "y": _LABELS}
    for predictions, noted in (([1, 0] * 20, True), (_LABELS, False), ([0, 1, 1, 0] * 10, False)):
        notes = _statistics({**table, "p": predictions}, request).notes
        assert any("the opposite of labels" in note for note in notes) is noted


def test_a_number_asked_of_numbers_and_text() -> None:
    columns = {"age": [*map(str, range(30, 65)), "65+"], "y": [0, 1] * 18}
    error = _refusal(columns, _request("age", 40))
    assert (error.code, error.field) == ("bias_groups.mixed", "age")
    assert "'65+'" in error.message
    assert _statistics(columns, _request("age", "40", "65+")).facets


def test_a_listed_value_that_no_row_has() -> None:
    columns = {"g": ["north", "south"] * 20, "y": _LABELS}
    found = _statistics(columns, _request("g", "north", "suoth"))
    there = "holds 'north', 'south'; did you mean 'south'?"
    assert says(found.notes, "bias_groups.absent_values", values="'suoth'", name="g", found=there)
    assert not any("though listed" in note for note in _statistics(columns, _request("g", "north")).notes)


def test_a_baseline_of_other_positive_labels_is_refused() -> None:
    columns = {"g": ["a", "b", "b", "a"] * 10, "y": _LABELS}
    before = BiasAnalyzer("sound", _request("g", "a"))
    statistics = before.describe(before.summarize([pa.RecordBatch.from_pydict(columns)]))
    baseline = Baseline(statistics, before.suggest(statistics, None))
    for listed, is_refused in ((0, True), ("1", False), (True, False)):
        request = _request("g", "a", label_values=(listed,))
        window, analyzer = _statistics(columns, request), BiasAnalyzer("sound", request)
        if not is_refused:
            analyzer.check(window, baseline)
            continue
        with pytest.raises(DocumentError) as error:
            analyzer.check(window, baseline)
        assert error.value.code == "bias_documents.other_label"


def test_text_beside_a_threshold_is_noted() -> None:
    columns = {"age": [*map(str, range(30, 65)), "65+"], "y": [0, 1] * 18}
    plan = SummaryPlan(_request("age", 40), "sound", known_thresholds={"age": True})
    notes = describe(summarize([pa.RecordBatch.from_pydict(columns)], plan), plan).notes
    assert says(notes, "bias_groups.words", name="age", some="'65+'", threshold=40)


def _checked(window: dict[str, Any], known: dict[str, Any], request: BiasRequest) -> Any:
    """Return the verdict on a window; its baseline is made of `known`."""
    analyzer = BiasAnalyzer("sound", request)
    before = _statistics(known, request)
    statistics = _statistics(window, request)
    analyzer.suggest(statistics, baseline := Baseline(before, analyzer.suggest(before, None)))
    return analyzer.check(statistics, baseline)


def _people(labels: list[Any], rows: int = 400) -> dict[str, Any]:
    places = range(rows)
    return {
        "g": [str(place % 2) for place in places],
        "y": [labels[place // 2 % len(labels)] for place in places],
    }


def test_labels_spelt_otherwise_are_refused_and_those_of_one_kind_undecided() -> None:
    request = _request("g", "1", label_values=("Yes",))
    known = _people(["Yes", "No"])
    with refused(DatasetError, "bias_groups.no_outcome"):
        _checked(_people(["yes", "no"]), known, request)
    for labels, why in ((["No"], "no label is positive"), (["Yes"], "every label is positive")):
        decision = _checked(_people(labels), known, request)
        states = {one.state for one in decision.comparisons if one.subject.startswith("DPL")}
        assert states == {State.UNDECIDED}
        assert why in decision.why_undecided


def test_a_threshold_that_nothing_exceeds_is_not_misspelt() -> None:
    request = _request("g", "1", label_values=(0.5,))
    decision = _checked(_people([0.1, 0.2, 0.3, 0.4]), _people([0.1, 0.4, 0.6, 0.9]), request)
    assert "no label is positive" in decision.why_undecided


def test_outcomes_that_become_percent_are_refused() -> None:
    request = _request("g", "1", label_values=(0.5,))
    shares = [place / 41 for place in range(41)]
    with refused(DocumentError, "bias_documents.other_scale"):
        _checked(_people([100 * share for share in shares]), _people(shares), request)


def test_labels_coded_anew_are_refused() -> None:
    request = _request("g", "1", post_training=("DPPL",), predicted_label="p")
    known, now = _people([0, 1]), _people([1, 2])
    with refused(DocumentError, "bias_documents.recoded"):
        _checked(now | {"p": now["y"]}, known | {"p": known["y"]}, request)


def test_labels_coded_anew_or_turned_round_are_told_without_predictions() -> None:
    request = _request("g", "1", label_values=(1,))
    known = _people([0, 1, 0, 0, 0])
    with refused(DocumentError, "bias_documents.recoded"):
        _checked(_people([1, 2]), known, request)
    for labels, turned in (([1, 0, 1, 1, 1], True), ([0, 1, 0, 0, 0], False), ([0, 1], False)):
        notes = _checked(_people(labels), known, request).notes
        assert any("turned round" in note for note in notes) is turned


def test_predictions_coded_anew_are_refused_also_without_labels() -> None:
    request = _request("g", "1", label_values=(1,), predicted_label="p", post_training=("DPPL",))
    known = _people([0, 1]) | {"p": [0, 1, 1, 0] * 100}
    for predictions, is_refused in (([1, 2], True), ([1, 0], False), ([1, 1], False)):
        window = known | {"p": predictions * 200, "y": pa.nulls(400, pa.int64())}
        with refused(DocumentError, "bias_documents.recoded") if is_refused else nullcontext():
            _checked(window, known, request)


def test_a_value_of_a_facet_written_as_a_range_says_how_thresholds_are_written() -> None:
    statistics = _statistics(_people([0, 1]) | {"g": list(range(400))}, _request("g", "(18, 40]"))
    assert says(statistics.notes, "bias_groups.range", least="18")


def test_a_baseline_at_another_threshold_of_scores_is_refused() -> None:
    request = _request("g", "1", post_training=("DPPL",), probability="p", probability_threshold=0.5)
    known = _people([0, 1]) | {"p": [0.1, 0.2, 0.7, 0.9] * 100}
    baseline = Baseline(before := _statistics(known, request))
    assert before.probability_threshold == 0.5
    for threshold, is_refused in ((0.5, False), (0.8, True)):
        now = replace(request, probability_threshold=threshold)
        analyzer = BiasAnalyzer("sound", now)
        with refused(DocumentError, "quality_documents.threshold") if is_refused else nullcontext():
            analyzer.check(_statistics(known, now), baseline)
