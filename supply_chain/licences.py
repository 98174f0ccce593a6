"""What licence a Python distribution is under, by the identifiers of SPDX where it can be told."""

from __future__ import annotations

from typing import Any

# Older metadata names a licence in words of its own.
_IDENTIFIERS = {
    "3-clause bsd license": "BSD-3-Clause",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "new bsd": "BSD-3-Clause",
    "python software foundation license": "PSF-2.0",
}
# Names that say nothing without the classifiers beside them.
_VAGUE = {"", "bsd", "dual license", "unknown"}
_LONGEST_NAME = 80


def licence_of(distribution: dict[str, Any]) -> str:
    """Return an SPDX expression, or the name its metadata gives, or ``unknown``.

    Parameters
    ----------
    distribution
        As `supply_chain.inventory` prints it. Its ``License-Expression`` comes first (PEP 639), then
        ``License`` where that is a name and no whole text, then the classifiers.
    """
    if distribution["licence_expression"]:
        return str(distribution["licence_expression"])
    name = (distribution["licence"] or "").strip()
    if name.lower() not in _VAGUE and "\n" not in name and len(name) <= _LONGEST_NAME:
        return _IDENTIFIERS.get(name.lower(), name)
    # The last part of "License :: OSI Approved :: MIT License".
    classified = sorted({text.rpartition(" :: ")[2] for text in distribution["classifiers"]})
    named = [_IDENTIFIERS.get(text.lower(), text) for text in classified]
    return " OR ".join(named) or name or "unknown"
