"""The ``dataset_format`` setting: what kind of files hold the data, and how to read them."""

import json
import re
from typing import Any, Literal, NamedTuple, get_args

from contract.errors import ConfigurationError
from contract.schema import JsonObject, Mistakes, Reader, choice, suggestion, switch

Kind = Literal["csv", "json", "parquet", "sagemakerCaptureJson", "sagemakerMergeJson"]

# How a captured payload holds rows, where it can be read in more than one way:
#   row      it is one row; lists in it are nested values, and each line of CSV is a row
#   list     each element of the list is a row: of the list itself, of the only list of an object, of the only
#            line of CSV
#   columns  an object whose members are columns, lists of one length
Shape = Literal["row", "list", "columns"]
SHAPES: tuple[Shape, ...] = get_args(Shape)

CAPTURE_INDICES = ("endpointInput", "endpointOutput", "batchTransformInput", "batchTransformOutput")

_KINDS: dict[str, Kind] = {kind.casefold(): kind for kind in get_args(Kind)}
# Logs of servers become captures.
_KINDS |= {"jsonl": "json", "jsonlines": "json", "inferencelog": "sagemakerCaptureJson"}
_LOG = "inferenceLog"
SERVERS = ("auto", "kserve", "mlserver", "bentoml", "databricks", "azureml", "triton")
_SEPARATORS = {**{one: one for one in (",", ";", "\t", "|")}, "tab": "\t", "\\t": "\t"}


class DatasetFormat(NamedTuple):
    """How the files of a dataset are read.

    Parameters
    ----------
    kind
        The family of files.
    header
        CSV only: whether the first row of each file holds the column names.
    capture_indices
        Captures only: which payloads become columns.
    separator
        CSV only: what stands between cells; None tells it from the first records.
    answers
        CSV only: whether columns of the response stand first (``START``) or last (``END``), None for unsaid.
    server
        Logs only, which are read as captures: one of `SERVERS`, None where the files tell.
    """

    kind: Kind
    header: bool = True
    capture_indices: tuple[str, ...] = CAPTURE_INDICES[:2]
    separator: str | None = None
    answers: str | None = None
    server: str | None = None


def parse_dataset_format(text: str) -> DatasetFormat:
    """Read the ``dataset_format`` setting.

    Parameters
    ----------
    text
        A JSON object with one key, such as ``{"csv":{"header":true}}``, or just the kind: ``csv``.
        Letter case and underscores of keys do not matter; booleans may be quoted.

    Raises
    ------
    ConfigurationError
        Naming the key at fault and the nearest one that exists.
    """
    value = _parse(text)
    if isinstance(value, str):
        value = {value: {}}
    if not isinstance(value, dict) or len(value) != 1:
        raise ConfigurationError.of("dataset_format.not_one_key", field="dataset_format", text=text)
    [(name, given)] = value.items()
    kind = _KINDS.get(_normalized(name))
    if kind is None:
        hint = suggestion(name, (*get_args(Kind), _LOG))
        raise ConfigurationError.of("dataset_format.kind", field="dataset_format", kind=name, hint=hint)
    given = {} if given is None else given
    if not isinstance(given, dict):
        held = json.dumps(given)
        raise ConfigurationError.of("dataset_format.options", field="dataset_format", kind=kind, held=held)
    options = _OPTIONS[kind]
    if _normalized(name) == _normalized(_LOG):
        options = {**options, "server": choice(SERVERS)}
    names = {_normalized(option): option for option in options}
    mistakes = Mistakes("dataset_format")
    members = JsonObject({names.get(_normalized(key), key): given[key] for key in given}, name, mistakes)
    found = {option: read(members, option) for option, read in options.items()}
    members.finish()
    mistakes.stop_if_any()
    return DatasetFormat(
        kind,
        header=found.get("header") is not False,
        capture_indices=found.get("captureIndexNames") or CAPTURE_INDICES[:2],
        separator=found.get("separator"),
        answers=found.get("output_columns_position"),
        server=(found["server"] or "auto") if "server" in found else None,
    )


def _switch(members: JsonObject, key: str) -> Any:
    value = members.raw(key)
    if isinstance(value, str) and value.strip().casefold() in ("true", "false"):
        return value.strip().casefold() == "true"
    return switch(members, key)


def _indices(members: JsonObject, key: str) -> tuple[str, ...]:
    value = members.raw(key)
    names = [value] if isinstance(value, str) else [] if value is None else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        members.wrong(key, "a list of texts", 'a list such as ["endpointInput","endpointOutput"]')
        return ()
    known = {_normalized(index): index for index in CAPTURE_INDICES}
    for name in names:
        if _normalized(name) not in known:
            members.note(key, "dataset_format.index", name=name, hint=suggestion(name, CAPTURE_INDICES))
    return tuple(dict.fromkeys(known.get(_normalized(name), "") for name in names))


def _separator(members: JsonObject, key: str) -> str | None:
    value = members.checked(key, lambda value: value in list(_SEPARATORS), "one of , ; | and tab")
    return value and _SEPARATORS[value]


# Whether JSON is lines or one array the reader sees, and where predictions sit is for others: only checked.
_CAPTURES: dict[str, Reader] = {"captureIndexNames": _indices}
_OPTIONS: dict[Kind, dict[str, Reader]] = {
    "csv": {"header": _switch, "output_columns_position": choice(("START", "END")), "separator": _separator},
    "json": {"line": _switch, "lines": _switch},
    "parquet": {},
    "sagemakerCaptureJson": _CAPTURES,
    "sagemakerMergeJson": _CAPTURES,
}


def parse_rows(text: str | None) -> dict[str, Shape] | None:
    """Read the ``rows`` setting.

    Parameters
    ----------
    text
        ``auto``, one of `SHAPES` for both sides, or one for each: ``request=columns,response=list``.

    Returns
    -------
    The shape of each capture index; None where the first calls decide.

    Raises
    ------
    ConfigurationError
        When it is anything else.
    """
    if text is None or text.strip().casefold() == "auto":
        return None
    sides = {"request": ("Input",), "response": ("Output",), "": ("Input", "Output")}
    found: dict[str, Shape] = {}
    for entry in text.casefold().split(","):
        side, _, word = (part.strip() for part in entry.rpartition("="))
        shape = next((shape for shape in SHAPES if shape == word), None)
        if shape is None or side not in sides:
            raise ConfigurationError.of("setting.rows", field="rows", text=text)
        found |= {index: shape for index in CAPTURE_INDICES if index.endswith(sides[side])}
    return found


def _parse(text: str) -> Any:
    stripped = text.strip()
    if re.fullmatch(r"[A-Za-z_]+", stripped):
        return stripped
    try:
        return json.loads(stripped)
    except ValueError as error:
        hint = " (its braces are unbalanced)" if stripped.count("{") != stripped.count("}") else ""
        members = {"text": stripped, "cause": str(error), "hint": hint}
        raise ConfigurationError.of("dataset_format.not_json", field="dataset_format", **members) from None


def _normalized(name: str) -> str:
    return name.strip().replace("_", "").casefold()
