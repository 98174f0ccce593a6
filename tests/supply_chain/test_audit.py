"""Audits fail for vulnerabilities, and only report that nobody could be asked."""

import json
import subprocess
from pathlib import Path

import pytest

from supply_chain import audit

REQUIREMENTS = Path("containers/requirements.txt")


def test_vulnerabilities_fail_and_name_the_fix(capsys: pytest.CaptureFixture[str]):
    found = {"id": "PYSEC-2019-217", "fix_versions": ["2.10.1"]}
    assert audit.tell(REQUIREMENTS, [{"name": "jinja2", "version": "2.10", "vulns": [found]}]) == 1
    assert capsys.readouterr().out == (
        "containers/requirements.txt: packages audited 1, known vulnerabilities 1\n"
        "  jinja2 2.10: PYSEC-2019-217, fixed in 2.10.1; then `make lock`\n"
    )


def test_packages_the_database_does_not_know_are_named(capsys: pytest.CaptureFixture[str]):
    known = {"name": "numpy", "version": "2.5.5", "vulns": []}
    assert audit.tell(REQUIREMENTS, [known, {"name": "own", "skip_reason": "not found"}]) == 0
    assert "not known to the database: own" in capsys.readouterr().out


def test_a_database_that_knows_nothing_is_no_audit(capsys: pytest.CaptureFixture[str]):
    assert audit.tell(REQUIREMENTS, [{"name": "numpy", "skip_reason": "not found"}]) == 0
    assert "not audited, because the database knows none of its 1 packages" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("stderr", "code", "said"),
    [
        ("requests.exceptions.ConnectionError: ...", 0, "no vulnerability database can be reached"),
        ("ERROR: invalid requirement", 1, "the audit failed"),
    ],
)
def test_only_silence_is_forgiven(
    stderr: str, code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    failed = subprocess.CompletedProcess([], 1, stdout="", stderr=stderr)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    assert audit.audit(REQUIREMENTS) == code
    assert said in "".join(capsys.readouterr())


def test_a_report_decides_whatever_pip_audit_says_beside_it(monkeypatch: pytest.MonkeyPatch):
    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        report = next(word for word in command if word.startswith("--output=")).removeprefix("--output=")
        found = [{"name": "jinja2", "version": "2.10", "vulns": [{"id": "X", "fix_versions": []}]}]
        Path(report).write_text(json.dumps({"dependencies": found}), encoding="utf-8")
        return subprocess.CompletedProcess(command, 1, stdout="", stderr="ConnectionError of a retry")

    monkeypatch.setattr(subprocess, "run", run)
    assert audit.audit(REQUIREMENTS) == 1
