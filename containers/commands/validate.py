"""The console command ``monitor-validate``.

All other flags, and the environment variables, are those of the monitor's own command:

monitor-validate --monitor data-quality --dataset-source captures/ --output-path report/ ...

Exit codes: 0 all in order, 2 something is not.
"""

import os
import sys
from collections.abc import Sequence

from containers.commands import command_line
from contract.errors import ConfigurationError
from contract.outcome import Line, print_checklist
from job_runner.console import run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code.

    Parameters
    ----------
    arguments
        Command-line arguments; default those of the process.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    about = "Check the whole set-up of a monitor, say how to mend what is wrong, and write nothing."
    parser = command_line.new_parser("monitor-validate", about, __doc__)
    command_line.add_flags(parser, "validate")
    given, others = parser.parse_known_args(arguments)
    analysis = os.environ.get("analysis_type", "").upper()  # noqa: SIM112 - the contract's are lower-case
    names = command_line.monitor_names()
    served = (name for name in names if analysis in command_line.find_monitor(name).analysis_types)
    try:
        name = given.monitor or next(served, None)
        if name is None:
            raise ConfigurationError.of("command.no_monitor_named", monitors=", ".join(names))
        monitor = command_line.find_monitor(name)
    except ConfigurationError as error:
        return print_checklist([Line("FAIL", error.message)], sys.stdout)
    return run_command(monitor, ["--validate", *others])
