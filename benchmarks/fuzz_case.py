"""What a hostile input is: files, settings and what its message may name."""

from __future__ import annotations

import functools
import gzip
import random
from dataclasses import dataclass

from benchmarks.mutations import damage

CSV = '{"csv":{"header":true}}'
HEADERLESS = '{"csv":{"header":false}}'
JSON = '{"json":{"lines":true}}'
CAPTURE = '{"sagemakerCaptureJson":{"captureIndexNames":["endpointInput","endpointOutput"]}}'
MERGE = '{"sagemakerMergeJson":{"captureIndexNames":["endpointOutput"]}}'
WINDOW = {"start_time": "2026-05-06T10:00:00Z", "end_time": "2026-05-06T11:00:00Z"}


@dataclass(frozen=True)
class Case:
    """One run: files by name in the scratch folder, and settings, where ``{folder}`` is that folder.

    `causes` are texts of which a message about a mistake must hold one; `command` is a key of
    `benchmarks.fuzz_run.COMMANDS`.
    """

    files: dict[str, bytes]
    settings: dict[str, str]
    causes: tuple[str, ...]
    monitors: bool = False
    command: str = "monitor-data-quality"
    arguments: tuple[str, ...] = ()


def dataset_case(
    generator: random.Random,
    name: str,
    data: bytes,
    dataset_format: str,
    baseline: str = "table",
    **settings: str,
) -> Case:
    """Return a case about a dataset: baseline job or monitoring job, by either set of rules."""
    variables = {"dataset_source": f"{{folder}}/{name}", "dataset_format": dataset_format, **settings}
    variables["rules"] = generator.choice(("sound", "sound", "sagemaker"))
    monitors = generator.random() < 0.5
    if monitors:
        variables |= {
            "baseline_constraints": f"{{folder}}/../{baseline}/constraints.json",
            "baseline_statistics": f"{{folder}}/../{baseline}/statistics.json",
        }
    return Case({name: data}, variables, (name, "dataset_source"), monitors)


def damage_text(data: bytes, generator: random.Random, others: tuple[bytes, ...]) -> bytes:
    """Damage text: mostly as it is, sometimes within gzip or bz2, sometimes the archive itself."""
    choice = generator.random()
    if choice < 0.8:
        return damage(data, generator, others)
    pack = functools.partial(gzip.compress, mtime=0)
    if choice < 0.85:
        return pack(damage(data, generator, others))
    return damage(pack(data), generator, [pack(other) for other in others])
