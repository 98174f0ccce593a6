"""The message file."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_jobs import NO_VIOLATIONS, VIOLATIONS

from contract.errors import wording
from contract.outcome import MESSAGE_BYTES, shorten, write_message


def test_the_originals_sentences() -> None:
    assert wording("outcome.holds") == NO_VIOLATIONS
    assert wording("outcome.violated", violations=1) == VIOLATIONS.format(1)


@given(st.text())
def test_messages_fit_and_decode(text: str) -> None:
    data = shorten(text).encode()
    assert len(data) <= MESSAGE_BYTES
    assert b"\n" not in data


def test_only_a_place_that_somebody_named_is_worth_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    caplog.set_level("DEBUG")
    monkeypatch.setattr("contract.outcome.DEFAULT_MESSAGE_FILE", str(file / "default" / "message"))
    write_message(str(file / "named" / "message"), "done")
    write_message(str(file / "default" / "message"), "done")
    assert [record.levelname for record in caplog.records] == ["WARNING", "DEBUG"]
    assert "named" in caplog.messages[0]


def test_a_place_that_cannot_be_written_does_not_change_the_outcome(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    write_message(str(file / "below" / "message"), "done")
    write_message(str(tmp_path / "new" / "message"), "done")
    assert (tmp_path / "new" / "message").read_text() == "done"
