"""The pages of the orchestrators: what they name is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fixtures import ROOT

from containers.commands.main import import_schedule
from orchestrators.import_schedule.jobs import WRITERS

PAGES = sorted((ROOT / "docs" / "orchestrators").glob("*.md"))
ORCHESTRATORS = ROOT / "orchestrators"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_and_paths_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)", text):
        assert (page.parent / target).exists(), target
    for path in re.findall(r"orchestrators/[a-z]+/[\w./-]+", text):
        assert (ROOT / path.rstrip(".")).exists() or (ROOT / "docs" / path).exists(), path


def test_every_orchestrator_has_a_page() -> None:
    folders = {folder.name for folder in ORCHESTRATORS.iterdir() if folder.is_dir()} - {"retraining"}
    assert folders <= {page.stem for page in PAGES}


def test_every_option_of_import_schedule_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "docs" / "orchestrators" / "import_schedule.md").read_text(encoding="utf-8")
    with pytest.raises(SystemExit):
        import_schedule(["--help"])
    options = set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) - {"--help", "--version"}
    told = set(re.findall(r"--[a-z-]+", text))
    services = {name for name in options if "-name" in name} | {"--output"}
    assert options - services <= told
    for target in WRITERS:
        assert f"`{target}`" in text


@pytest.mark.parametrize(
    ("page", "folder"),
    [("compose", "compose"), ("airflow", "airflow"), ("argo", "argo"), ("sagemaker", "sagemaker")],
)
def test_values_to_fill_in_are_those_of_the_manifest(page: str, folder: str) -> None:
    text = (ROOT / "docs" / "orchestrators" / f"{page}.md").read_text(encoding="utf-8")
    manifests = "".join(
        file.read_text(encoding="utf-8") for file in (ORCHESTRATORS / folder).iterdir() if file.is_file()
    )
    told = set(
        re.findall(r"\b(?:MODEL_MONITOR_[A-Z]+|[A-Z]+_SECONDS|ACTION_URL|LABEL_DELAY|START_TIME)\b", text)
    )
    told |= set(re.findall(r"(\w+)=(?:arn:|\$?ACCOUNT|my-bucket|churn)", text)) - set(told)
    for name in told - {"MODEL_MONITOR_DATA"}:
        assert name in manifests, name
