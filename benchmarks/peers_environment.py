"""Virtual environments, made once, for what must not meet our own dependencies."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements-peers.txt")


def pinned_versions() -> dict[str, str]:
    """Return the peers' distributions and versions."""
    lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    pins = (line.partition("==") for line in lines if line and not line.startswith("#"))
    return {name: version for name, _, version in pins}


def prepare(folder: Path, requirements: Path = REQUIREMENTS) -> Path:
    """Install the peers into `folder` unless they are there; return the environment's interpreter."""
    python = folder / "bin" / "python"
    stamp = folder / ".installed"
    wanted = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    if python.exists() and stamp.exists() and stamp.read_text(encoding="ascii") == wanted:
        return python
    print(f"Installing {requirements.name} into {folder}, once", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    subprocess.run([str(python), "-m", "pip", "install", "-q", "-r", str(requirements)], check=True)
    stamp.write_text(wanted, encoding="ascii")
    return python


def has_java() -> bool:
    """Return whether pyspark can start."""
    return shutil.which("java") is not None
