"""A pipeline that answers drift: train on the data that drifted, then make that data the baseline.

    TRAIN_COMMAND='python train.py' BASELINE=/models/flights/baseline \
    DATASET_FORMAT='{"csv":{"header":true}}' python pipeline.py EVENT_FILE

`receiver.py` starts it; copy it and put your own steps between. Steps run in order, and one that fails ends
the pipeline: the baseline is only renewed when there is a model that was trained on such data.

``TRAIN_COMMAND`` gets the data's place as its last argument. ``BASELINE`` is the folder that
``baseline_constraints`` and ``baseline_statistics`` of the monitor name, local or s3://.
Further settings of the monitor, such as problem_type, it finds in the environment, as always.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path


def main() -> int:
    """Run the steps; return the exit code of the first that fails."""
    event = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    data, window = event["data"], event["data"]["window"]
    say(f"{data['violation_count']} violations in {data['dataset_source']}, see {data['report']}")
    with tempfile.TemporaryDirectory() as scratch:
        steps = [
            [*shlex.split(os.environ["TRAIN_COMMAND"]), data["dataset_source"]],
            [
                os.environ.get("MONITOR_COMMAND", f"monitor-{data['monitor']}"),
                f"--dataset-source={data['dataset_source']}",
                f"--dataset-format={os.environ['DATASET_FORMAT']}",
                f"--output-path={scratch}/report",
                f"--output-message-file={scratch}/message",
                f"--baseline-constraints={os.environ['BASELINE']}",
                f"--baseline-statistics={os.environ['BASELINE']}",
                "--skip-check=Enabled",
                f"--register-new-baseline={os.environ['BASELINE']}",
                *([f"--start-time={window['start']}", f"--end-time={window['end']}"] if window else ()),
            ],
        ]
        for step in steps:
            say(f"+ {shlex.join(step)}")
            done = subprocess.run(step, check=False)  # noqa: S603 - the operator's own commands
            if done.returncode:
                return done.returncode
    return 0


def say(line: str) -> None:
    """Write a line to the log of the pipeline, in order with what the steps write."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
