"""Who runs on what: our command, merely reading the data, and the peers."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).parent
OURS = "monitor-data-quality"
PEERS = ("duckdb", "polars", "pyspark", "evidently")
# When the captures of months begin.
MONTHS_START = datetime(2026, 3, 2, tzinfo=UTC)
SECTIONS = ("parquet", "csv", "captures", "memory")

_CAPTURES = '{"sagemakerCaptureJson":{"captureIndexNames":["endpointInput","endpointOutput"]}}'
DATASET_FORMATS = {
    "parquet": '{"parquet":{}}',
    "segmented": '{"parquet":{}}',
    "csv": '{"csv":{"header":true}}',
    "captures": _CAPTURES,
    "small-captures": _CAPTURES,
    "json-captures": _CAPTURES,
    "months": _CAPTURES,
}


@dataclass(frozen=True)
class Dataset:
    """A generated dataset: its kind, as `benchmarks.generate` calls it, and its number of rows."""

    kind: str
    rows: int

    def path(self, folder: Path) -> Path:
        """Return where it is kept."""
        if self.kind in ("parquet", "csv"):
            return folder / f"table-{self.rows}.{self.kind}"
        return folder / f"{self.kind}-{self.rows}"


@dataclass(frozen=True)
class Contender:
    """A process to measure on a dataset.

    `goal` is the largest ratio aimed at: our time to this contender's time, or, in a section about
    memory, this contender's peak to the peak of the section's first.
    """

    name: str
    command: tuple[str, ...]
    dataset: Dataset
    goal: float | None = None


@dataclass(frozen=True)
class Section:
    """Contenders to run in turn. The first one is ours, the others are compared with it."""

    title: str
    contenders: tuple[Contender, ...]
    about_memory: bool = False


@dataclass(frozen=True)
class Setup:
    """Where things are: generated data, scratch files, the peers' interpreter; and which peers run."""

    data: Path
    scratch: Path
    peers_python: Path
    peers: tuple[str, ...]


def make_sections(names: tuple[str, ...], rows: int, capture_rows: int, setup: Setup) -> list[Section]:
    """Return the sections of the benchmark, in the order they run."""
    sections = {
        "parquet": [_parquet(rows, setup)],
        "csv": [_csv(rows, setup)],
        "captures": [_captures(kind, capture_rows, setup) for kind in _CAPTURE_GOALS],
        "memory": [_memory(rows, setup)],
    }
    return [section for name in names for section in sections[name]]


def _parquet(rows: int, setup: Setup) -> Section:
    dataset = Dataset("parquet", rows)
    contenders = [
        ours(dataset, setup),
        _floor("pyarrow, merely iterating", dataset, setup, goal=2.5),
        _floor("pyarrow, merely reading row groups", dataset, setup, goal=2.5, reader="row-groups"),
        *_profilers(dataset, setup),
    ]
    return Section(f"Parquet, {rows:,} rows x 20 columns", tuple(contenders))


def _csv(rows: int, setup: Setup) -> Section:
    dataset = Dataset("csv", rows)
    contenders = [
        ours(dataset, setup),
        _floor("pyarrow, merely streaming", dataset, setup, goal=0.8),
        *_peer("duckdb, merely scanning", "duckdb", ("scan",), dataset, setup, goal=2.5),
        *_profilers(dataset, setup),
    ]
    return Section(f"CSV, {rows:,} rows x 20 columns", tuple(contenders))


# At most so many times what parsing every line takes.
_CAPTURE_GOALS = {"captures": 1.15, "small-captures": 1.35, "json-captures": 2.2}


def _captures(kind: str, rows: int, setup: Setup) -> Section:
    dataset = Dataset(kind, rows)
    contenders = (
        ours(dataset, setup),
        _floor("orjson.loads of every line, one process", dataset, setup, goal=_CAPTURE_GOALS[kind]),
    )
    layout = "files of 250 records" if kind == "small-captures" else "files of 100,000 records"
    payloads = ", lists of numbers and text in JSON" if kind == "json-captures" else ""
    return Section(f"Endpoint captures, {rows:,} records in {layout}{payloads}", contenders)


def _memory(rows: int, setup: Setup) -> Section:
    contenders = [
        ours(Dataset("parquet", size), setup, f"{OURS}, {size:,} rows", goal)
        for size, goal in ((rows, None), (rows // 10, None), (3 * rows, 1.15))
    ]
    return Section("Peak memory, Parquet", tuple(contenders), about_memory=True)


def _profilers(dataset: Dataset, setup: Setup) -> list[Contender]:
    return [
        *_peer("duckdb", "duckdb", (), dataset, setup, goal=1.0),
        *_peer("polars, quantiles", "polars", ("quantiles",), dataset, setup, goal=1.0),
        *_peer("polars, histogram instead", "polars", ("histogram",), dataset, setup, goal=1.0),
        *_peer("pyspark local[*]", "pyspark", (), dataset, setup, goal=1 / 15),
        *_peer("evidently, its own summary", "evidently", (), dataset, setup, goal=1 / 50),
    ]


def ours(
    dataset: Dataset, setup: Setup, name: str = OURS, goal: float | None = None, options: tuple[str, ...] = ()
) -> Contender:
    command = (
        str(Path(sys.executable).with_name("monitor-data-quality")),
        *("--dataset-source", str(dataset.path(setup.data))),
        *("--dataset-format", DATASET_FORMATS[dataset.kind]),
        *("--output-path", str(setup.scratch / "output")),
        *("--output-message-file", str(setup.scratch / "message")),
        *options,
    )
    return Contender(name, command, dataset, goal)


def _floor(name: str, dataset: Dataset, setup: Setup, goal: float, reader: str | None = None) -> Contender:
    reader = reader or ("captures" if dataset.kind.endswith("captures") else dataset.kind)
    command = (sys.executable, str(HERE / "floors.py"), reader, str(dataset.path(setup.data)))
    return Contender(name, command, dataset, goal)


def _peer(
    name: str, peer: str, options: tuple[str, ...], dataset: Dataset, setup: Setup, goal: float
) -> list[Contender]:
    if peer not in setup.peers:
        return []
    script = HERE / "peers" / f"{peer}_profile.py"
    command = (
        *(str(setup.peers_python), str(script)),
        *(*options, dataset.kind, str(dataset.path(setup.data))),
    )
    return [Contender(name, command, dataset, goal)]
