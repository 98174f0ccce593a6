"""The pages name everything a user can meet."""

import json
import re

import pytest
from fixtures import ROOT
from reports import report

from contract.sink_addresses import parse_sinks, written
from reporting.sinks.delivery import _AGAIN
from reporting.sinks.messages import HELP, cloud_event

PAGE = (ROOT / "docs" / "acting_on_drift.md").read_text(encoding="utf-8")


def test_every_metric_is_on_the_page_and_no_other() -> None:
    assert set(re.findall(r"^\| `(model_monitor_\w+)`", PAGE, re.MULTILINE)) == set(HELP)


@pytest.mark.parametrize("setting", written())
def test_every_sink_is_on_the_page_as_it_is_written(setting: str) -> None:
    for kind, form in written()[setting].items():
        assert f"`{form}`" in PAGE
        (address,) = parse_sinks(setting, form)
        assert address.kind == kind


def test_the_event_on_the_page_has_the_members_of_a_real_one() -> None:
    shown = json.loads(re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)[1])
    real = cloud_event(report())
    assert list(shown) == list(real)
    assert list(shown["data"]) == list(real["data"])


def test_the_answers_that_are_tried_again() -> None:
    text = PAGE.partition("was answered ")[2].partition(" is tried again")[0]
    assert tuple(int(number) for number in re.findall(r"\d+", text)) == _AGAIN
