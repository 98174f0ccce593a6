from pathlib import Path

import pytest
from run_jobs import run_job

from contract.wording import number, several


@pytest.mark.parametrize(("amount", "text"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows")])
def test_an_amount_has_its_noun(amount: int, text: str) -> None:
    assert several(amount, "row") == text


def test_a_log_counts_as_people_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data.csv").write_text("age\n30\n", encoding="utf-8")
    run_job(tmp_path, tmp_path / "data.csv", log_level="INFO")
    assert " - Read 1 row from " in capsys.readouterr().err


def test_large_numbers_are_whole():
    assert [number(value) for value in (1_010_000.4, 9_999.99, 12.3456, -50_123.7)] == [
        "1010000",
        "10000",
        "12.35",
        "-50124",
    ]
    assert number(9_999.99, 7) == "9999.99"
