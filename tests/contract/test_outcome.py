"""The message file."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from contract.outcome import MESSAGE_BYTES, completed_message, shorten, write_message


def test_the_originals_sentences() -> None:
    assert completed_message(0) == "Completed: Job completed successfully with no violations."
    assert completed_message(1) == "CompletedWithViolations: Job completed successfully with 1 violations."


@given(st.text())
def test_messages_fit_and_decode(text: str) -> None:
    data = shorten(text).encode()
    assert len(data) <= MESSAGE_BYTES
    assert b"\n" not in data


def test_a_place_that_cannot_be_written_does_not_change_the_outcome(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    write_message(str(file / "below" / "message"), "done")
    write_message(str(tmp_path / "new" / "message"), "done")
    assert (tmp_path / "new" / "message").read_text() == "done"
