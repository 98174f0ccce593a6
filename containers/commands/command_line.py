"""What the commands that are no jobs have in common on the command line."""

from __future__ import annotations

import argparse

import contract


def new_parser(program: str, description: str, epilog: str) -> argparse.ArgumentParser:
    """Return the parser of a command: flags in full only, an epilog as it is written, --version."""
    parser = argparse.ArgumentParser(
        prog=program,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{program} {contract.__version__}")
    return parser
