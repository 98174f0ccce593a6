"""docs/your_own_service.md, its commands one after another in an empty folder, with Flask."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cluster.hosts import free_port
from fixtures import ROOT

PAGE = (ROOT / "docs" / "your_own_service.md").read_text(encoding="utf-8")
UVICORN, FLASK = "uvicorn service:app --port 8000 --log-level warning", "flask --app service run --port 8000"


def test_the_page_leads_from_a_service_to_a_verdict_and_to_labels(tmp_path: Path) -> None:
    if importlib.util.find_spec("flask") is None:
        pytest.skip("Flask is not installed")
    port = str(free_port())
    fast, flask, ask = re.findall(r"```python\n# \w+\.py\n(.*?)```", PAGE, re.DOTALL)
    assert "FastAPI()" in fast
    assert flask.count('CaptureWriter("captures", "churn")') == 1
    # However full the disk of this machine is.
    (tmp_path / "service.py").write_text(flask.replace('"churn")', '"churn", disk_share=1.0)'))
    (tmp_path / "ask.py").write_text(ask.replace("8000", port))
    install, *commands = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    assert install.startswith("pip install")
    assert FLASK in PAGE
    (labels,) = re.findall(r"```\n(inferenceId,label\n.*?)```", PAGE, re.DOTALL)
    label = (
        "import glob; label, call = open('labels.csv').read(), open(glob.glob('captures/*/*/*/*/*/*/*')[0])"
    )
    label += "; import json; known = json.loads(call.readline())['eventMetadata']['eventId']"
    label += "; open('labels.csv', 'w').write(label.replace(label.split()[1].split(',')[0], known))"
    (tmp_path / "labels.csv").write_text(labels)
    script = "".join(commands[:-1]) + f'python -c "{label}"\n' + commands[-1]
    script = script.replace(UVICORN, FLASK + " 2> service.log")
    script = script.replace("sleep 3", "until (: < /dev/tcp/127.0.0.1/8000) 2> /dev/null; do sleep 0.1; done")
    script = script.replace("8000", port)
    assert script.count(FLASK[:20]) == 2
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    paths = os.pathsep.join((str(ROOT), str(ROOT / "capture")))
    done = subprocess.run(
        ["bash", "-ec", script],
        cwd=tmp_path,
        env={**os.environ, "PATH": path, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"`(CompletedWithViolations: .*?)`", PAGE)[1] in done.stderr
    found = json.loads((tmp_path / "window" / "constraint_violations.json").read_text())["violations"]
    assert {one["feature_name"] for one in found} == {"age", "score"}
    assert json.loads((tmp_path / "quality" / "statistics.json").read_text())["dataset"]["item_count"] == 1
