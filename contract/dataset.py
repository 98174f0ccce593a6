"""A dataset: what to read, and how; what was noticed of it; and the splits that yield its record batches."""

from __future__ import annotations

import functools
import re
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from contract.dataset_format import DatasetFormat, Shape
from contract.errors import DatasetError, topic, wording
from contract.window import Window
from contract.wording import several

if TYPE_CHECKING:
    import pyarrow as pa

    from contract.settings import Settings

# Functions that a preprocessing script may define.
RECORD_HANDLER = "preprocess_handler"
DATAFRAME_HANDLER = "preprocess_dataframe"


ColumnKind = Literal["number", "boolean", "date", "text"]

# What people and programs write where there is no value; the setting missing_values lists others.
MARKERS = ("NA", "N/A", "n/a", "#N/A", "<NA>", "NULL", "null", "None", "?", "-", "nan", "NaN", "NaT", r"\N")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|(?i:[+-]?inf(inity)?)")
# The label of a capture, and the column of labels that were joined.
GROUND_TRUTH = "groundTruthData"
# The column that says in which of several windows a row lies.
WINDOW = "__window__"
# Columns that batch transform adds.
TRANSFORM_ID, TRANSFORM_TIME = "SageMakerInferenceId", "SageMakerInferenceTime"


class Preprocessor(NamedTuple):
    """A user's preprocessing script; picklable, since workers load the script anew.

    Parameters
    ----------
    path
        Of the script, local or on S3.
    kind
        ``"record"`` for `preprocess_handler`, ``"dataframe"`` for `preprocess_dataframe`.
    digest
        Of the script's content, so that a worker never runs what it kept of an older script.
    """

    path: str
    kind: Literal["record", "dataframe"]
    digest: str = ""

    @property
    def function(self) -> str:
        """Return the name of the function that is called."""
        return RECORD_HANDLER if self.kind == "record" else DATAFRAME_HANDLER


class Location(NamedTuple):
    """Where one further column of a record is found.

    Parameters
    ----------
    name
        What the column is called.
    path
        JMESPath; in CSV the zero-based position as text. None takes all there is, which must be one value.
    side
        Captures only: the part of the record it is looked for in.
    variable
        The setting or member that holds the path, for messages.
    classes
        When a list of scores is found for each row: what they are scores of. The column holds the class with
        the largest.
    """

    name: str
    path: str | None
    side: str = ""
    variable: str = ""
    classes: tuple[str | int, ...] = ()


class ColumnPaths(NamedTuple):
    """Where a dataset's records hold their columns.

    Parameters
    ----------
    features
        JMESPath of the features; None takes the whole request of a capture, and of JSON files none.
    others
        Columns that follow the features, in this order.
    headers
        Names of the features; without them, or where their number differs, they are called ``column_0``,
        ``column_1`` and so on.
    document
        Whether a JSON file is one document whose paths lead to lists, rather than one record per line.
    variable
        The setting or member that holds `features`, for messages.
    """

    features: str | None
    others: tuple[Location, ...] = ()
    headers: tuple[str, ...] = ()
    document: bool = False
    variable: str = "features"


@dataclass(frozen=True)
class LabelPlaces:
    """Where answers of human reviewers, and tables, hold labels.

    Parameters
    ----------
    label_attribute
        Of answers: dotted path within ``answerContent``, list positions as numbers, such as
        ``sentiment.label``. None takes the only value there is.
    id_attributes
        Of answers: dotted paths within ``inputContent``, tried in this order.
    id_column
        Of tables: holds the id of the inference. None takes the first usual name that is there.
    label_column
        Of tables: holds the label. None takes the only other column.
    usual_id
        A name of the id that is looked for before the usual ones.
    """

    label_attribute: str | None = None
    id_attributes: tuple[str, ...] = ("inferenceId", "eventId")
    id_column: str | None = None
    label_column: str | None = None
    usual_id: str | None = None

    @classmethod
    def of(cls, settings: Settings) -> LabelPlaces:
        """Return what the settings say, defaults where they are None."""
        given = settings.human_review_id_attribute
        return cls(
            settings.human_review_label_attribute,
            (given,) if given else cls.id_attributes,
            settings.ground_truth_id_column,
            settings.ground_truth_label_column,
            settings.id_attribute and settings.id_attribute.rpartition(".")[2],
        )


class SegmentColumn(NamedTuple):
    """How rows are divided.

    Parameters
    ----------
    name
        Of the column that is added.
    source
        The column whose values decide.
    segments
        Each is a list of values, or of intervals as text: ``[1, 4]`` holds 1 and 4, ``(1, 4)`` neither. A row
        belongs to the first that has its value.
    labels
        What the segments are called, and last the rest of the rows.
    """

    name: str
    source: str
    segments: tuple[tuple[str | int, ...], ...]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Prediction:
    """What to ask a model.

    Parameters
    ----------
    name
        Of the column that is added.
    features
        The columns that the model takes, in its order.
    ask
        Returns the prediction for each row of a batch of features; raises ModelError.
    where
        The model's address or path, for messages.
    close
        Called when nothing refers to this any more.
    """

    name: str
    features: tuple[str, ...]
    ask: Callable[[pa.RecordBatch], pa.Array] = field(compare=False, repr=False)
    where: str = ""
    close: Callable[[], None] | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        # A job that fails forgets the model anywhere on its way; its connections are closed all the same.
        if self.close is not None:
            weakref.finalize(self, self.close)

    def __reduce__(self) -> tuple[object, ...]:
        # By its constructor: a host that drops a job closes the model that it has opened for it.
        return Prediction, (self.name, self.features, self.ask, self.where, self.close)

    def append(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return rows with the column of predictions.

        Raises
        ------
        ModelError
            When the model cannot be asked.
        DatasetError
            When the rows lack a feature.
        """
        absent = [name for name in self.features if name not in batch.schema.names]
        if absent:
            raise DatasetError.of("model.lacks_feature", field=absent[0])
        return batch.append_column(self.name, self.ask(batch.select(list(self.features))))


class Declared(NamedTuple):
    """What a baseline says a column is; `spelling` is how it writes false and true, `span` its range."""

    kind: Literal["number", "boolean", "date", "text"]
    spelling: tuple[str, str] | None = None
    span: tuple[float, float] | None = None


@dataclass(frozen=True)
class CellRules:
    """How cells are understood.

    Parameters
    ----------
    markers
        Texts that mean a missing value.
    declared
        What the baseline says of columns, by name.
    judged
        Whether a marker is missing in columns of text too: False for none, True for all, or the names.
    listed
        Texts that the configuration or the baseline lists as values, which are none of the markers in text.
    dates
        Whether dates are told from text.
    like_pandas
        As `pandas.read_csv` does: its markers in every column, codes are numbers.
    typed
        Whether files say which values are numbers, as JSON and Parquet do.
    """

    markers: tuple[str, ...] = MARKERS
    declared: Mapping[str, Declared] = field(default_factory=dict)
    judged: bool | tuple[str, ...] = False
    listed: frozenset[str] = frozenset()
    dates: bool = False
    like_pandas: bool = False
    typed: bool = False

    @functools.cached_property
    def numbers(self) -> dict[str, float]:
        """Return the markers that are numbers, such as ``-999``, which nothing but a setting lists."""
        return {marker: float(marker) for marker in self.markers if _NUMBER.fullmatch(marker)}

    def markers_in_text(self, name: str) -> tuple[str, ...]:
        """Return the markers that are missing values in a column of text."""
        if not (self.judged is True or (self.judged and name in self.judged)):
            return ()
        return tuple(marker for marker in self.markers if marker not in self.listed)


class Dialect(NamedTuple):
    """How CSV is written.

    Parameters
    ----------
    separator
        What stands between cells.
    escaped
        Whether quotes in quoted cells are written with a backslash before them.
    answer_first
        Whether the baseline's last column stands first, and columns are therefore matched by name.
    """

    separator: str = ","
    escaped: bool = False
    answer_first: bool = False


class RowKeys(NamedTuple):
    """Where rows hold their id and time.

    Parameters
    ----------
    identifier, time
        Name, path or zero-based position of the column; None for none.
    added_at
        CSV without a header: where batch transform has put id and time, at position 0 or from -2 on.
    """

    identifier: str | None = None
    time: str | None = None
    added_at: int | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Return what there is."""
        return tuple(name for name in (self.identifier, self.time) if name is not None)

    def places(self, count: int) -> dict[int, str]:
        """Return the positions of both among `count` columns without names, and what they are called."""
        if self.added_at is not None:
            first = self.added_at % count
            return {first: TRANSFORM_ID, first + 1: TRANSFORM_TIME} if count > len(self.names) else {}
        return {int(name): name for name in self.names if name.isdecimal() and int(name) < count}


# What was decided of how a dataset is read, and what readers count while they read it.
#
# Whoever decides says so: the plan, a reader, an analysis configuration. A split is read elsewhere, so what
# it notices travels as counts, and the leader makes sentences of them.


# What is noticed: the code of its sentence, then the members of that, such as ``("field", "x")``.
Noticed = tuple[Any, ...]
Tally = Counter[Noticed]

# Sentences of one kind; more would hide the others.
_MOST_SAID = 20

_tally: ContextVar[Tally | None] = ContextVar("tally", default=None)


@dataclass(frozen=True)
class CallRows:
    """How the rows of a call stand in its payloads.

    Parameters
    ----------
    shapes
        By payload; others are `row`.
    calls
        How many calls were looked at, and in how many of them a side had several rows.
    why
        What decided.
    """

    shapes: Mapping[str, Shape] = field(default_factory=dict)
    calls: int = 0
    of_several_rows: int = 0
    why: str = ""

    def shape(self, side: str) -> Shape:
        """Return the shape of a payload."""
        return self.shapes.get(side, "row")

    def text(self) -> str:
        """Return what was decided as a sentence."""
        words = topic("rows_of_a_call")
        sides = "; ".join(f"{side}: {words[shape]}" for side, shape in self.shapes.items()) or "none is read"
        calls = several(self.calls, "call")
        return f"rows of a call, by {self.why} ({calls}, {self.of_several_rows} of several rows): {sides}"


@dataclass
class Said:
    """Sentences by subject, such as ``header`` or ``rows``, each once and in the order they were said.

    They go to the log and to the lines of ``--validate``, and with `call_rows`, which captures have, into
    ``statistics.json`` as ``reading``.
    """

    sentences: dict[str, list[str]] = field(default_factory=dict)
    call_rows: CallRows = field(default_factory=CallRows)
    undecodable: int = 0
    undecodable_in: Counter[int] = field(default_factory=Counter)  # by window, where several are read
    apart: str = ""  # that no id of rows met a label, and how ids look on both sides
    outside: int = 0  # rows or calls whose time is in none; of one of several windows nobody knows

    def document(self, *, with_sentences: bool) -> dict[str, Any]:
        """Return ``reading`` of ``statistics.json``, empty when there is nothing to say."""
        calls = self.call_rows
        shapes = {
            "rows_of_a_call": dict(calls.shapes),
            "calls_looked_at": calls.calls,
            "calls_of_several_rows": calls.of_several_rows,
            "decided_by": calls.why,
        }
        unread = {"undecodable_payloads": self.undecodable} if self.undecodable else {}
        return (shapes if calls.shapes else {}) | (unread | self.sentences if with_sentences else {})

    def say(self, code: str, **members: Any) -> None:
        """Add a sentence, unless it has been said."""
        subject, _, sentence = wording(code, **members).partition(": ")
        known = self.sentences.setdefault(subject, [])
        if sentence not in known:
            known.append(sentence)

    def add(self, tally: Tally, rows: int) -> None:
        """Say what was noticed while `rows` rows were read."""
        self.undecodable += sum(count for what, count in tally.items() if what[0] == "reading.undecodable")
        for what in [what for what in tally if what[0] == "window"]:
            self.undecodable_in[what[1][1]] += tally.pop(what)
        self.outside += tally.pop(("outside",), 0)
        apart = {what: tally.pop(what) for what in sorted(tally) if what[0] == "apart"}
        if apart and not tally[("joined",)]:
            about = dict(next(iter(apart))[1:])
            about["hint"] = topic("label_ids")[about.pop("how")]
            self.say("reading.apart", count=sum(apart.values()), **about)
            self.apart = self.sentences["labels"][-1]
            tally = Counter({what: count for what, count in tally.items() if what[0] != "reading.near"})
        tally.pop(("joined",), 0)
        files = tally.pop(("file",), 0)
        partly = {what[1][1] for what in [*tally] if what[0] == "partly" and tally.pop(what)}
        having = {what[1][1]: tally.pop(what) for what in sorted(tally) if what[0] == "file"}
        lacking = {name: files - count for name, count in having.items() if name not in partly}
        for name, count in islice(((name, count) for name, count in lacking.items() if count), _MOST_SAID):
            self.say("reading.lacking", field=name, count=count)
        for _, alike in groupby(sorted(tally.items()), key=lambda noticed: noticed[0][0]):
            for (code, *members), count in islice(alike, _MOST_SAID):
                self.say(code, **dict(members), count=count, rows=rows)

    def lines(self) -> list[str]:
        """Return all sentences, each with its subject."""
        return [f"{subject}: {one}" for subject, said in self.sentences.items() for one in said]


def notice(code: str, count: int = 1, **members: Any) -> None:
    """Count something while a split is read; nothing happens where nobody collects."""
    tally = _tally.get()
    if tally is not None and count:
        tally[code, *members.items()] += count


@contextmanager
def counting(tally: Tally) -> Iterator[None]:
    """Have what is noticed inside the block added to `tally`."""
    token = _tally.set(tally)
    try:
        yield
    finally:
        _tally.reset(token)


# The dataset itself.


@dataclass(frozen=True)
class Dataset:
    """What to read, and how.

    Parameters
    ----------
    source
        Local file or directory, or ``s3://bucket/prefix``.
    format
        How to read the files.
    text_only
        CSV cells stay text, for rules that infer types from the text.
    window
        Leave out what lies outside; None reads everything.
    column_names
        The baseline's feature names, for data that comes without names.
    exclude
        Columns to leave out: names, or zero-based positions as text.
    preprocessor
        The user's script, if any.
    labels
        Captures only: whether the labels that records carry become columns, after all others.
    ground_truth_source
        Captures only: file or folder with labels, joined with the records by id; implies `labels`.
    label_places
        Where labels are found in answers of human reviewers, and in tables.
    typed_labels
        Whether labels whose text is a number become numbers.
    repeated_names
        CSV without a header only: whether files may nevertheless begin with a line that repeats
        `column_names`; it is then left out.
    locations
        JSON and captures only: where nested records hold their columns.
    beside
        Further datasets whose rows continue those of this one, row by row.
    prediction
        What to ask a model for each row.
    segments
        Columns to add that tell the segments of the rows.
    rows
        Captures only: how the rows of a call stand in its payloads, by payload; None where the first calls
        decide.
    cells
        How cells are understood; None leaves them as the readers give them.
    dialect
        CSV only: how it is written, once that is decided.
    keys
        Where rows hold their id and time; both are left out of what is analysed.
    folders
        Names of folders, such as ``region`` of ``region=eu``, that become columns.
    said
        What has been decided of how to read; shared by all requests made from this one.
    """

    source: str
    format: DatasetFormat
    text_only: bool = False
    window: Window | None = None
    column_names: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    preprocessor: Preprocessor | None = None
    labels: bool = False
    ground_truth_source: str | None = None
    label_places: LabelPlaces | None = None
    typed_labels: bool = False
    repeated_names: bool = False
    locations: ColumnPaths | None = None
    beside: tuple[Dataset, ...] = ()
    prediction: Prediction | None = None
    segments: tuple[SegmentColumn, ...] = ()
    rows: Mapping[str, Shape] | None = None
    cells: CellRules | None = None
    dialect: Dialect | None = None
    keys: RowKeys | None = None
    folders: tuple[str, ...] = ()
    said: Said = field(default_factory=Said, compare=False, repr=False)


class Split(Protocol):
    """A piece of the dataset that one worker reads; picklable."""

    @property
    def label(self) -> str:
        """Return the file, and the range in it, for messages and progress."""

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows in order, about 65,536 at a time."""


class Plan(NamedTuple):
    """A dataset divided into splits.

    Parameters
    ----------
    splits
        In the order of the data; none when there is no file to read.
    total_bytes
        Size of the files as stored.
    small
        True for less than 4 MB, which is always one split.
    """

    splits: tuple[Split, ...]
    total_bytes: int
    small: bool

    def batches(self, most_splits: int | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the rows in order: of the first splits, or of all."""
        for split in self.splits[:most_splits]:
            yield from split.batches()


_INDEX = re.compile(r"__index_level_\d+__|Unnamed: \d+(\.\d+)?")
_UNNAMED = re.compile(r"_c\d+")


def is_nameless(name: str, *, has_names: bool = True) -> bool:
    """Return whether nobody has named a column, as readers and pandas call it, where others have names."""
    return bool(_INDEX.fullmatch(name) or (has_names and _UNNAMED.fullmatch(name)))


def aligned_columns(batches: Sequence[pa.RecordBatch]) -> dict[str, list[pa.Array]]:
    """Return the arrays of each column, in order; nulls where a batch has no such column."""
    import pyarrow as pa

    known = [dict(zip(batch.schema.names, batch.columns, strict=True)) for batch in batches]
    names = dict.fromkeys(name for columns in known for name in columns)
    empty = [pa.nulls(batch.num_rows) for batch in batches]
    return {name: [each.get(name, nulls) for each, nulls in zip(known, empty, strict=True)] for name in names}
