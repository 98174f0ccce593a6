"""Tell the story: ``python -m demo``, or ``make demo``."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from contract.errors import ConfigurationError, MonitorError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m demo",
        description="Watch four monitors find what changed in real flights out of New York, and for whom.",
    )
    parser.add_argument(
        "--output", type=Path, default=Path("demo-output"), help="directory for all files (%(default)s)"
    )
    output = parser.parse_args(arguments).output
    try:
        if not all(importlib.util.find_spec(package) for package in ("pandas", "sklearn")):
            raise ConfigurationError(
                "The demo needs pandas and scikit-learn for its data: run make demo, which installs them."
            )
        # Imported late: the sentence above must come before either is needed.
        from demo.tell import tell

        tell(output, say)
    except MonitorError as error:
        sys.stderr.write(f"demo: {error.message}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


def say(text: str = "") -> None:
    """Print one line at once, so that the steps appear as they happen."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
