"""The gate with its baseline on a real server of the S3 protocol."""

from pathlib import Path

from sentences import says
from test_gate import content_of, gate_run

FOLDER = "s3://bucket/models/flights/baseline"


def test_a_baseline_on_s3_through_its_life(tmp_path: Path, bucket: Path) -> None:
    here = bucket / "models" / "flights" / "baseline"
    first = gate_run(tmp_path, 1, FOLDER, skip_check="Enabled")
    assert (first.exit_code, content_of(here)) == (0, content_of(first.output))

    failed = gate_run(tmp_path, 3, FOLDER, shift=20.0)
    assert (failed.exit_code, content_of(here)) == (3, content_of(first.output))
    assert f"The baseline in {FOLDER} stays as it was" in failed.message

    passed = gate_run(tmp_path, 2, f"{FOLDER}/")
    assert passed.exit_code == 0
    for name in ("statistics.json", "constraints.json"):
        assert (here / name).read_bytes() == (passed.output / name).read_bytes()
    (kept,) = (here / "previous").iterdir()
    assert content_of(kept) == content_of(first.output)


def test_a_slash_too_many_is_a_mistake_with_a_fix(tmp_path: Path, bucket: Path) -> None:
    result = gate_run(tmp_path, 1, "s3://bucket//baseline", skip_check="Enabled")
    assert result.exit_code == 2
    assert "s3://bucket//baseline" in result.message
    assert "a part of it between slashes is empty" in result.message


def test_a_step_up_is_a_mistake_with_a_fix(tmp_path: Path, bucket: Path) -> None:
    result = gate_run(tmp_path, 1, "s3://bucket/a/../b", skip_check="Enabled")
    assert result.exit_code == 2
    assert says(result.message, "stored_file.address", file="s3://bucket/a/../b")
    assert "empty, . or ..; take it out" in result.message
