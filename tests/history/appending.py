"""A process that appends to a history: ``python appending.py HISTORY PLACE RUNS``."""

import sys
from pathlib import Path

from history_runs import monitor
from job_runner import Result


def main(history: str, place: str, runs: int) -> None:
    here = Path(place)
    baseline = Result(0, "", here.parent / "baseline" / "output")
    for number in range(runs):
        result = monitor(
            here / str(number),
            baseline,
            shift=20.0 * (number % 2),
            history_path=history,
            sagemaker_endpoint_name=here.name,
            fail_on_sink_error="Enabled",
            report="Disabled",
        )
        assert result.exit_code == 0, result.message


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
