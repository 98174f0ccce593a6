"""What the cells of a column are: numbers, text, booleans or dates, and which texts mean a missing value.

A column is one kind in the whole dataset. The baseline's type wins; else the first rows decide:

======= ==================================================================================================
number  nine of ten cells or more, apart from missing ones, are numbers; none is a code such as ``007``
boolean all are ``true`` or ``false`` in any letter case
date    nine of ten or more are ISO 8601 dates or times (data quality only)
text    anything else
======= ==================================================================================================

In a column of numbers, booleans or dates a text such as ``NA`` is a missing value. In text it is a value,
except in columns of labels, groups and segments (`CellRules.judged`), and there too where it is listed.
"""

import contextlib
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from contract.dataset import GROUND_TRUTH, WINDOW, CellRules, ColumnKind, Declared, aligned_columns, notice
from contract.errors import DatasetError

# The texts that pandas.read_csv takes for missing in every column, as the originals of Clarify read CSV.
PANDAS_MARKERS = (
    *("#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A"),
    *("NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
)
# From this share of numbers on, a column is numbers, and the rest is what has gone wrong with it.
MOSTLY = 0.9
_HALF = 0.5

_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|^(?i:[+-]?(inf|infinity|nan))$"
CODE = r"^\s*[+-]?0\d+\s*$"
_CURRENCY = r"[$€£¥₹]|USD|EUR|GBP|JPY|CHF|INR|CNY|kr"
# Numbers as people write them: with a currency, a sign of percent, or separators of thousands and decimals.
_AMOUNT = (
    rf"^['\"]?[-+−(]?\s*(?:{_CURRENCY})?\s*[-+−]?\d{{1,3}}(?:[ ,.'’_\x{{a0}}\x{{202f}}]?\d{{3}})*(?:[.,]\d+)?"
    rf"\s*(?:%|{_CURRENCY})?[-)]?['\"]?$|^[-+]?0[xX][\da-fA-F]+$|^[-+]?[\d.]+[dD][-+]?\d+$"
)
# Numbers with a unit; more than a few units are parts of codes, such as seats.
_WITH_UNIT = r"^[-+−]?\d+(?:[.,]\d+)?\s?(?P<unit>[A-Za-zµ°%²³/]{1,6})$"
_FEW_UNITS = 3
_JSON = r"(?s)^(\{.*\}|\[.*\])$"
_MONTH = r"(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_OTHER_DATES = (
    r"^(\d{1,2}[./-]\d{1,2}[./-](\d{4}|\d{2})|\d{4}[./]\d{1,2}[./]\d{1,2}"
    rf"|\d{{1,2}}\.?[ -]?{_MONTH}[ -]?(\d{{4}}|\d{{2}})|{_MONTH} \d{{1,2}},? \d{{4}})([ T,].*)?$"
)
_HOUR, _OF_SIXTY = r"(?:[01]\d|2[0-3])", r"[0-5]\d"
_DATES = (
    rf"^\d{{4}}-\d\d-\d\d(?:[T ]{_HOUR}:{_OF_SIXTY}(?::{_OF_SIXTY}(?:\.\d{{1,9}})?)?"
    rf"(?:Z|[+-]{_HOUR}:?{_OF_SIXTY})?)?$"
)
_BOOLEAN = r"^(?i:true|false)$"
_DIGIT = r"^[01](\.0)?$"
_BOOLEAN_OR_DIGIT = r"^(?i:true|false|[01](\.0)?)$"
_TIME = pa.timestamp("us")
# How services write times (``20260302T100000Z``, ``10:00:00,123``, ``10:00:00 UTC``, ``+00``), and ISO 8601.
_SPELLINGS = {
    r"^(\d{4})(\d\d)(\d\d)[Tt](\d\d)(\d\d)(\d\d)": r"\1-\2-\3T\4:\5:\6",
    r"(\d\d:\d\d)[.,](\d{1,6})\d*": r"\1.\2",
    r" ?([+-]\d\d:?\d\d)( UTC| GMT)?$": r"\1",
    r" ?(z|Z|UTC|GMT)$": "Z",
    r"(\d\d:\d\d[.\d]*[+-]\d\d)$": r"\1:00",
}
# Numbers among text, as whoever summarizes text knows numbers.
_PLAIN = {
    r"^([+-]?)\.": r"\10.",
    r"^([+-]?\d+)\.([eE]|$)": r"\1.0\2",
    r"^\+?(-?)(?i:inf|infinity)$": r"\11e999",
}
# Rows that tell what columns are.
_FIRST_ROWS = 4096
# Fewer numbers say too little of how they were written.
_FEWEST_TO_TELL, _SAME = 20, 1e-6
# Fewer columns say too little of their order.
_FEWEST_TO_TURN = 3

Kinds = Mapping[str, ColumnKind]
# Says the sentence of a code with its members.
Say = Callable[..., None]


def typed_rows(
    batches: Iterator[pa.RecordBatch], rules: CellRules, kinds: Kinds | None
) -> Iterator[pa.RecordBatch]:
    """Yield rows whose cells are understood by `rules`; without `kinds` the first rows decide them."""

    def understood(batch: pa.RecordBatch) -> pa.RecordBatch:
        nonlocal kinds
        try:
            if kinds is None and batch.num_rows:
                first = batch.slice(0, _FIRST_ROWS)
                kinds = kinds_of([first], rules)
                require_like_baseline([first], kinds, rules)
                say_kinds([first], kinds, rules, notice)
            return typed(batch, kinds or {}, rules)
        except pa.ArrowInvalid:
            return batch  # text that is no UTF-8; whoever decodes it names the place

    return map(understood, batches)


def require_like_baseline(batches: Sequence[pa.RecordBatch], kinds: Kinds, rules: CellRules) -> None:
    """Make sure that dates are written as in the baseline, and columns without names in its order.

    Raises
    ------
    DatasetError
        When the first rows say otherwise: dates are written in another way, numbers and texts have changed
        places, or all fit with the baseline's last column first.
    """
    for batch in batches:
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            if name in rules.declared and rules.declared[name].kind == "date":
                texts = _present(column, rules.markers)
                if _share(texts, _DATES) < MOSTLY:
                    other = _unlike(texts, _DATES)[0].as_py()[:40]
                    raise DatasetError.of("cells.dates", field=name, other=other)
    batch = batches[0]
    if (batch.schema.metadata or {}).get(b"positional") != b"true":
        return
    batch = batch.drop_columns([WINDOW]) if WINDOW in batch.schema.names else batch
    names = [name for name in batch.schema.names if name in rules.declared]
    if is_turned(batch, rules):
        raise DatasetError.of("cells.turned", field=names[-1])
    text = next((n for n in names if rules.declared[n].kind == "number" and kinds.get(n) == "text"), None)
    number = next((n for n in names if rules.declared[n].kind == "text" and kinds.get(n) == "number"), None)
    if text is not None and number is not None:
        raise DatasetError.of("cells.kinds_swapped", text=text, number=number)


def is_turned(batch: pa.RecordBatch, rules: CellRules) -> bool:
    """Return whether some rows fit the baseline only with its last column first, as an answer stands."""
    spans = [rules.declared[name].span for name in batch.schema.names if name in rules.declared]
    if len(spans) < max(batch.num_columns, _FEWEST_TO_TURN):
        return False

    def unlike(spans: Sequence[tuple[float, float] | None]) -> int:
        return sum(not _within(column, span) for column, span in zip(batch.columns, spans, strict=True))

    return unlike(spans) > 1 and not unlike([spans[-1], *spans[:-1]])


def _within(column: pa.Array, span: tuple[float, float] | None) -> bool:
    """Return whether nearly all numbers of a column lie in a range; text and unknown ranges fit anything."""
    if span is None or not _is_number(column.type):
        return span is None
    share = pc.mean(pc.and_(pc.greater_equal(column, span[0]), pc.less_equal(column, span[1]))).as_py()
    return share is None or share >= MOSTLY


def typed(batch: pa.RecordBatch, kinds: Kinds, rules: CellRules) -> pa.RecordBatch:
    """Return the batch with cells of the kinds of their columns, and markers of missing values gone."""
    names, before = batch.schema.names, batch.columns
    columns = [_column(name, column, kinds, rules) for name, column in zip(names, before, strict=True)]
    if all(map(operator.is_, columns, before)):
        return batch
    return pa.RecordBatch.from_arrays(columns, names, metadata=batch.schema.metadata)


def kinds_of(batches: Sequence[pa.RecordBatch], rules: CellRules) -> dict[str, ColumnKind]:
    """Return what the columns are, by name, as far as some rows tell."""
    kinds = {name: _kind(columns, rules) for name, columns in aligned_columns(batches).items()}
    return {name: kind for name, kind in kinds.items() if kind is not None}


def say_kinds(batches: Sequence[pa.RecordBatch], kinds: Kinds, rules: CellRules, say: Say) -> None:
    """Say which columns of text are read as something else, and which columns of digits as text."""
    columns = aligned_columns(batches)
    alike = {name.strip().casefold(): name for name in columns}
    for name in columns:
        if (other := alike[name.strip().casefold()]) != name:
            say("reading.alike", field=name, other=other)
    for name, kind in kinds.items():
        is_known, is_typed = name in rules.declared, rules.typed and not name.startswith(GROUND_TRUTH)
        textual = [column for column in columns.get(name, ()) if _is_text(column.type)]
        if kind == "number" and not is_known:
            _say_other_readings(name, columns[name][0], rules, say)
        if not textual:
            continue
        texts = _all_present(textual, rules.markers)
        kind = rules.declared[name].kind if is_known else kind
        if kind == "date":
            say("reading.dates", field=name)
        elif kind == "text":
            _say_why_text(name, texts, rules, say, is_known=is_known)
        elif kind == "number" and is_known:
            if _any(texts, CODE):
                say("reading.padded", field=name)
            elif is_typed and len(texts) and _share(texts, _NUMBER) == 1.0:
                say("reading.texts", field=name)
        elif kind == "number" and (others := _unlike(texts, _NUMBER)):
            say("reading.numbers", field=name, share=_share(texts, _NUMBER))
            say("reading.amounts", field=name, example=others[0].as_py()[:40])


def _say_other_readings(name: str, column: pa.Array, rules: CellRules, say: Say) -> None:
    """Say of numbers that they could be thousands between points, or dates."""
    if is_text := _is_text(column.type):
        column = _convert(_present(column, rules.markers), _parse_numbers)
    if _is_number(column.type):
        column = column.drop_null()
        signed = column.to_numpy(zero_copy_only=False).astype(np.float64)
        values = np.abs(signed)
        if len(values) < _FEWEST_TO_TELL:
            return
        in_thousandths = np.minimum(values, 1e3) * 1e3  # larger ones are not looked at
        thousands = np.round(in_thousandths)
        is_split = (values >= 1.0) & (values < 1e3) & np.isclose(in_thousandths, thousands, 0.0, _SAME)
        may_be_dates = rules.dates and types.is_integer(column.type)
        is_year = may_be_dates & (values > 1900_00_00) & (values < 2100_00_00)
        if (is_text or not rules.typed) and is_split.all() and (thousands % 10 > 0).mean() > _HALF:
            say("reading.thousands", field=name, example=f"{signed[0]:.3f}")
        elif is_year.all() and not pc.strptime(column.cast("string"), "%Y%m%d", "s", True).null_count:
            say("reading.days", field=name, example=str(column[0]))
        elif is_text and rules.typed and not name.startswith(GROUND_TRUTH):
            say("reading.texts", field=name)


def _say_why_text(name: str, texts: pa.Array, rules: CellRules, say: Say, *, is_known: bool) -> None:
    """Say why cells that look like something else are text."""
    if _share(texts, _NUMBER) == 1.0:
        if _any(texts, CODE):
            say("reading.codes", field=name)
        return
    if is_known:
        return
    if _share(texts, _AMOUNT) >= MOSTLY:
        say("reading.signs", field=name)
    elif _share(texts, _OTHER_DATES) >= MOSTLY:
        say("reading.dates_in_two_ways", field=name)
    elif rules.dates and _share(texts, _DATES) == 1.0:
        say("reading.no_days", field=name)
    elif _share(texts, _JSON) >= MOSTLY:
        say("reading.json", field=name, example=texts[0].as_py()[:40])
    elif len(units := _units(texts)) in range(1, _FEW_UNITS + 1):
        say("reading.units", field=name, units=", ".join(units))
    else:
        for what, pattern in {"numbers": _NUMBER, "dates": _DATES, "booleans": _BOOLEAN}.items():
            share = _share(texts, pattern)
            if _HALF <= share < 1.0 and (what != "dates" or rules.dates):
                example = _unlike(texts, pattern)[0].as_py()[:40]
                say("reading.mostly", field=name, share=share, what=what, example=example)
                return


def _units(texts: pa.Array) -> list[str]:
    """Return the units of numbers, none where hardly any number has one."""
    if _share(texts, _WITH_UNIT) < MOSTLY:
        return []
    found = pc.struct_field(pc.extract_regex(texts, _WITH_UNIT), "unit")
    return list(pc.unique(found).drop_null().to_pylist())


def texts_in(value: Any) -> Iterator[str]:
    """Yield every text in a JSON value, names of members included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, member in value.items():
            yield name
            yield from texts_in(member)
    elif isinstance(value, list | tuple):
        for member in value:
            yield from texts_in(member)


def _is_number(kind: pa.DataType) -> bool:
    return bool(types.is_integer(kind) or types.is_floating(kind))


def _is_text(kind: pa.DataType) -> bool:
    if types.is_dictionary(kind):
        kind = kind.value_type
    return bool(types.is_string(kind) or types.is_large_string(kind))


def _distinct(column: pa.Array) -> pa.Array:
    """Return the texts of a column, each once where it is a dictionary, without missing ones and blanks."""
    texts = column.dictionary if types.is_dictionary(column.type) else column
    return pc.utf8_trim_whitespace(texts.drop_null())


def _present(column: pa.Array, markers: tuple[str, ...]) -> pa.Array:
    """Return the texts of all cells that have a value."""
    texts = pc.utf8_trim_whitespace(column.cast(pa.string()).drop_null())
    return texts.filter(pc.invert(pc.match_substring_regex(texts, _any_of(markers))))


def _all_present(columns: Sequence[pa.Array], markers: tuple[str, ...]) -> pa.Array:
    return pa.chunked_array([_present(column, markers) for column in columns]).combine_chunks()


def _any_of(markers: tuple[str, ...]) -> str:
    return f"^(?:{'|'.join(map(re.escape, markers))})?$"


def _share(texts: pa.Array, pattern: str) -> float:
    return float(pc.mean(pc.match_substring_regex(texts, pattern)).as_py()) if len(texts) else 1.0


def _unlike(texts: pa.Array, pattern: str) -> pa.Array:
    return texts.filter(pc.invert(pc.match_substring_regex(texts, pattern)))


def _any(texts: pa.Array, pattern: str) -> bool:
    return bool(len(texts)) and bool(pc.any(pc.match_substring_regex(texts, pattern)).as_py())


def _kind(columns: list[pa.Array], rules: CellRules) -> ColumnKind | None:
    """Return what the cells of one column are; None where they are no text and need no decision."""
    columns = [column for column in columns if len(column) > column.null_count]
    if not columns:
        return None
    is_text = [_is_text(column.type) for column in columns]
    is_boolean = [types.is_boolean(column.type) for column in columns]
    if not any(is_text + is_boolean):
        return "number"
    texts = _all_present(columns, rules.markers)
    booleans = _BOOLEAN if rules.like_pandas else _BOOLEAN_OR_DIGIT
    if _any(texts, _BOOLEAN) and _share(texts, booleans) == 1.0:
        return "boolean"
    if not any(is_text):
        return None if is_boolean[0] else "number"
    if _share(texts, _NUMBER) >= (1.0 if rules.like_pandas else MOSTLY):
        return "text" if not rules.like_pandas and _any(texts, CODE) else "number"
    is_dates = rules.dates and all(is_text) and _only_dates(texts).null_count <= (1.0 - MOSTLY) * len(texts)
    return "date" if is_dates else "text"


def _column(name: str, column: pa.Array, kinds: Kinds, rules: CellRules) -> pa.Array:
    declared = rules.declared.get(name)
    kind = declared.kind if declared else kinds.get(name)
    if kind in (None, "number") and _is_number(column.type):  # nearly always
        return _without_numbers(name, column, rules)
    if kind == "boolean":
        return _booleans(name, column, declared, rules)
    if types.is_boolean(column.type):
        if kind == "number":
            if not declared:
                notice("reading.flags", field=name)
            return column.cast(pa.int8())
        if kind is not None and not declared:
            _say_unlike(name, column, "booleans")
        return column.cast(pa.string()) if declared else column
    if not _is_text(column.type):
        if _is_number(column.type) and not declared:
            _say_unlike(name, column, "numbers")
        if kind == "text" and declared and not types.is_null(column.type):
            if types.is_floating(column.type):
                with contextlib.suppress(pa.ArrowInvalid):  # some may have a fraction
                    column = column.cast(pa.int64())
            return column.cast(pa.string())
        return column
    if kind == "number":
        return _numbers(name, column, declared, rules)
    if kind == "date":
        column = _without(name, column, rules.markers)
        found = instants_of(column)
        notice("reading.undated", found.null_count - column.null_count, field=name)
        return found
    markers = rules.markers if rules.like_pandas else rules.markers_in_text(name)
    return _without(name, column, markers) if markers else column


def _without(name: str, column: pa.Array, markers: tuple[str, ...]) -> pa.Array:
    """Return a column of text with markers as missing values, and count them."""
    texts = column.dictionary if types.is_dictionary(column.type) else column
    trimmed = pc.utf8_trim_whitespace(texts)
    found = pc.match_substring_regex(trimmed, _any_of(markers))
    if not found.true_count:
        return column
    nothing = pa.scalar(None, texts.type)
    kept, marked = pc.if_else(found, nothing, texts), pc.if_else(found, trimmed, nothing)
    if types.is_dictionary(column.type):
        kept, marked = kept.take(column.indices).dictionary_encode(), marked.take(column.indices)
    for one in pc.value_counts(marked.drop_null()).to_pylist():
        if one["values"]:
            notice("reading.marker", one["counts"], field=name, marker=one["values"])
    return kept


def _without_numbers(name: str, column: pa.Array, rules: CellRules) -> pa.Array:
    """Return a column of numbers without those that are listed as missing values, and count these."""
    for marker, number in rules.numbers.items():
        found = pc.equal(column, number)
        if count := found.true_count:
            notice("reading.marker", count, field=name, marker=marker)
            column = pc.if_else(found, pa.scalar(None, column.type), column)
    return column


def _numbers(name: str, column: pa.Array, declared: Declared | None, rules: CellRules) -> pa.Array:
    column = _without(name, column, rules.markers)
    if declared is None and not rules.like_pandas and _any(_distinct(column), CODE):
        texts = _present(column, ())
        _say_unlike(name, texts.filter(pc.match_substring_regex(texts, CODE)), "codes")
        return column  # whoever summarizes knows them
    if _share(_distinct(column), _NUMBER) == 1.0:
        return _convert(column, _parse_numbers)
    if not rules.like_pandas and _share(_distinct(column), _BOOLEAN_OR_DIGIT) == 1.0:
        if declared is None:
            notice("reading.flags", field=name)
        return _convert(column, lambda texts: _truth(texts).cast(pa.int8()))
    texts = _present(column, ())
    others = _unlike(texts, _NUMBER)
    if declared is None and len(others) > (1.0 - MOSTLY) * len(texts):
        _say_unlike(name, others, "text")
    return column if rules.like_pandas else _convert(column, _plain_numbers)


def _plain_numbers(texts: pa.Array) -> pa.Array:
    plain = pc.utf8_trim_whitespace(texts)
    is_number = pc.match_substring_regex(plain, _NUMBER)
    for pattern, spelling in _PLAIN.items():
        plain = pc.replace_substring_regex(plain, pattern, spelling)
    return pc.if_else(is_number, plain, texts)


def _say_unlike(name: str, column: pa.Array, what: str) -> None:
    notice("reading.both_kinds", len(column) - column.null_count, field=name, what=what)


def _parse_numbers(texts: pa.Array) -> pa.Array:
    texts = pc.utf8_ltrim(pc.utf8_trim_whitespace(texts), "+")
    try:
        return texts.cast(pa.int64())
    except pa.ArrowInvalid:
        return texts.cast(pa.float64())


def typed_text(column: pa.Array) -> pa.Array:
    """Return text as numbers where every cell is one, and none a code such as ``007``; else as it is."""
    if not _is_text(column.type) or column.null_count == len(column) or _any(_distinct(column), CODE):
        return column
    return _convert(column, _parse_numbers)


def _booleans(name: str, column: pa.Array, declared: Declared | None, rules: CellRules) -> pa.Array:
    if types.is_null(column.type):
        return column
    is_text = _is_text(column.type)
    if is_text:
        column = _without(name, column, rules.markers)
        texts = _distinct(column)
        digits, fits = _any(texts, _DIGIT), _share(texts, _BOOLEAN_OR_DIGIT) == 1.0
    else:
        digits = not types.is_boolean(column.type)
        fits = not digits or set(pc.unique(column.drop_null()).to_pylist()) <= {0, 1}
    if rules.like_pandas and (digits or not fits):
        return column
    if not fits:
        if declared is None:
            cells = _unlike(_present(column, ()), _BOOLEAN_OR_DIGIT)
            _say_unlike(name, cells, "text" if is_text else "numbers")
        spelling = (declared and declared.spelling) or ("false", "true")
        return _convert(column, lambda texts: _spelt(texts, *spelling)) if is_text else column
    if digits:
        notice("reading.digits", field=name)
    found = _convert(column, _truth) if is_text else pc.equal(column, 1) if digits else column
    if declared is None or declared.spelling in (None, ("false", "true")):
        return found
    spelling = pa.array(declared.spelling, pa.string())
    return pa.DictionaryArray.from_arrays(found.cast(pa.int8()).cast(pa.int32()), spelling)


def _spelt(texts: pa.Array, false: str, true: str) -> pa.Array:
    """Return texts with each boolean among them in one spelling."""
    for text, pattern in ((true, r"^\s*(?i:true|1|1\.0)\s*$"), (false, r"^\s*(?i:false|0|0\.0)\s*$")):
        texts = pc.replace_substring_regex(texts, pattern, text)
    return texts


def _truth(texts: pa.Array) -> pa.Array:
    return pc.match_substring_regex(pc.utf8_trim_whitespace(texts), r"^(?i:true|1|1\.0)$")


def _only_dates(texts: pa.Array) -> pa.Array:
    """Return texts without those that are no dates."""
    days = pc.utf8_slice_codeunits(texts, 0, len("2026-01-01"))
    is_like_date = pc.match_substring_regex(texts, _DATES)
    known = list(filter(_is_day, pc.unique(days.filter(is_like_date)).to_pylist()))
    is_date = pc.and_(is_like_date, pc.is_in(days, pa.array(known, pa.string())))
    return pc.if_else(is_date, texts, pa.scalar(None, pa.string()))


def _is_day(text: str | None) -> bool:
    with contextlib.suppress(ValueError):
        return text is not None and bool(date.fromisoformat(text))
    return False


def _times(texts: pa.Array) -> pa.Array | None:
    """Return ISO 8601 texts as instants, UTC where they do not say; None when one is no date."""
    present = pc.utf8_trim_whitespace(texts)
    if not len(present) or _share(present.slice(0, 1000).drop_null(), _DATES) < 1.0:
        return None
    # Instants are of microseconds; to look for more digits in each text would take most of the time.
    if (pc.max(pc.binary_length(present)).as_py() or 0) > len("2026-01-01T00:00:00.000000"):
        present = pc.replace_substring_regex(present, r"(\.\d{6})\d+", r"\1")
    zoned = pc.match_substring_regex(present, r"(Z|[+-]\d\d:?\d\d)$")
    zoned = pc.and_(zoned, pc.greater(pc.utf8_length(present), len("2026-01-01T00:")))
    with contextlib.suppress(pa.ArrowInvalid):
        if not pc.any(zoned).as_py():
            return present.cast(_TIME)
        with_zone = pc.if_else(zoned, present, pa.scalar(None, present.type))
        without = pc.if_else(zoned, pa.scalar(None, present.type), present)
        return pc.coalesce(with_zone.cast(pa.timestamp("us", "UTC")).cast(_TIME), without.cast(_TIME))
    return None


def _as_iso(texts: pa.Array) -> pa.Array:
    """Return times as services write them as ISO 8601 with an offset in full and at most microseconds."""
    texts = pc.utf8_trim_whitespace(texts)
    for pattern, iso in _SPELLINGS.items():
        texts = pc.replace_substring_regex(texts, pattern, iso)
    return texts


def instants_of(column: pa.Array) -> pa.Array:
    """Return a column of times as instants without a time zone, in UTC, missing where a text is no time."""
    if types.is_timestamp(column.type):
        return column.cast(pa.timestamp("us", column.type.tz), safe=False).cast(_TIME)
    found = _convert(column, _times) if _is_text(column.type) else column
    return _times(_only_dates(_as_iso(column.cast(pa.string())))) if found is column else found


def _convert(column: pa.Array, convert: Callable[[pa.Array], pa.Array | None]) -> pa.Array:
    """Return a column of text converted, each text of a dictionary once; as it is where that fails."""
    is_coded = types.is_dictionary(column.type)
    with contextlib.suppress(pa.ArrowInvalid):
        if (found := convert(column.dictionary if is_coded else column)) is not None:
            return found.take(column.indices) if is_coded else found
    return column
