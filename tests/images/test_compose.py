"""docker-compose at work: a turn of all four monitors and the action, and imported schedules."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from bucket_of_all import DATA_QUALITY, MONITORS, arrange
from fixtures import ROOT
from image_runner import IMAGES
from imported_schedules import descriptions, import_schedule
from s3_server import ACCESS, SECRET
from schedule_world import HOUR, START, START_A_DAY_LATER, options, reports, start

COMPOSE = ROOT / "orchestrators" / "compose" / "compose.yaml"


@pytest.fixture(scope="module")
def buckets(s3_server: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder whose folders are buckets, filled."""
    arrange(s3_server[0], tmp_path_factory.mktemp("scratch"))
    return s3_server[0]


@contextmanager
def listening() -> Iterator[tuple[str, list[Any]]]:
    """Give an address, and what was told it."""
    told: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/retrain", told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def compose(*files: Path, variables: dict[str, str], project: str) -> str:
    """Bring services up to their end and take them down; return their logs."""
    program = ["docker-compose"] if shutil.which("docker-compose") else ["docker", "compose"]
    command = [*program, "--project-name", project]
    for file in files:
        command += ["--file", str(file)]
    environment = {**os.environ, **variables}
    try:
        ran = subprocess.run(
            [*command, "up", "--no-color"], env=environment, capture_output=True, text=True, timeout=300
        )
    except FileNotFoundError:
        pytest.skip("neither docker-compose nor the compose plugin of docker is installed")
    finally:
        subprocess.run([*command, "down", "--volumes"], env=environment, capture_output=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def test_a_turn_of_all_monitors_in_their_order(buckets: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(buckets / "my-bucket", data)
    for path in (data, *data.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o644)
    override = tmp_path / "override.yaml"
    services: dict[str, Any] = {
        "data-quality": {
            "environment": {
                **DATA_QUALITY,
                "record_preprocessor_script": f"/data/{DATA_QUALITY['record_preprocessor_script']}",
            }
        },
        "feature-attribution": {"environment": {"dataset_source": "/data/loans"}},
        # Labels came a day after their captures.
        **{
            name: {"environment": {"start_time": START_A_DAY_LATER}}
            for name in ("labels", "model-quality", "bias")
        },
    }
    override.write_text(yaml.safe_dump({"version": "2.4", "services": services}), encoding="utf-8")
    image = IMAGES["data-quality"]
    with listening() as (address, told):
        log = compose(
            COMPOSE,
            override,
            project="model-monitor-test-turn",
            variables={
                "MODEL_MONITOR_DATA": str(data),
                "MODEL_MONITOR_IMAGES": image.rpartition("/")[0],
                "MODEL_MONITOR_TAG": image.rpartition(":")[2],
                "MODEL_MONITOR_NETWORK": "host",
                "ACTION_URL": address,
                "RESTART": "no",
                "ONCE": "now",
                "WINDOW": "PT1H",
                "START_TIME": START,
            },
        )
    codes = {file.name: int(file.read_text()) for file in (data / "turns" / "now").iterdir()}
    assert codes == {"labels": 0, "action": 0, **dict.fromkeys(MONITORS, 3)}, log
    written = {name: (data / "turns" / "now" / name).stat().st_mtime for name in codes}
    assert written["labels"] < min(written["model-quality"], written["bias"])
    assert max(written[name] for name in MONITORS) < written["action"]
    assert [entry["event"] for entry in told] == ["model-monitor.violations"]
    for monitor in MONITORS:
        assert (data / "reports" / monitor / HOUR / "constraint_violations.json").exists()


@pytest.mark.parametrize("monitor", MONITORS)
def test_imported_schedules(monitor: str, buckets: Path, s3_server: tuple[Path, str], tmp_path: Path) -> None:
    manifest = yaml.safe_load(import_schedule("--to", "compose", *options(monitor), *descriptions(monitor)))
    (service,) = manifest["services"].values()
    service["image"] = IMAGES[monitor]
    service["network_mode"] = "host"
    service["restart"] = "no"
    service["environment"] += [f"start_time={start(monitor)}", "AWS_EC2_METADATA_DISABLED=true"]
    # The loop itself, without its first wait and its hour of the day, and with an end.
    (script,) = service["command"]
    script = "\n".join(line for line in script.splitlines() if not line.startswith("  case "))
    waits = next(line for line in script.splitlines() if "sleep" in line)
    service["command"] = [script.replace(waits, "  sleep 0 & wait $$!").replace("\ndone", "\n  exit\ndone")]
    file = tmp_path / "compose.yaml"
    file.write_text(yaml.safe_dump(manifest), encoding="utf-8")
    log = compose(
        file,
        project=f"model-monitor-test-{monitor}",
        variables={
            "AWS_ENDPOINT_URL": s3_server[1],
            "AWS_ACCESS_KEY_ID": ACCESS,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
        },
    )
    assert "exited with code 0" in log
    assert SECRET not in log
    found = json.loads((reports(buckets, monitor) / "constraint_violations.json").read_text(encoding="utf-8"))
    assert found["violations"], log
