"""The ``dataset_format`` setting: what kind of files hold the data, and how to read them."""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from contract.errors import ConfigurationError

Kind = Literal["csv", "json", "parquet", "sagemakerCaptureJson", "sagemakerMergeJson"]

# How a captured payload holds rows, where it can be read in more than one way:
#   row      it is one row; lists in it are nested values, and each line of CSV is a row
#   list     each element of the list is a row: of the list itself, of the only member of an object, of the
#            only line of CSV
#   columns  an object whose members are columns, lists of one length
Shape = Literal["row", "list", "columns"]
SHAPES: tuple[Shape, ...] = get_args(Shape)

CAPTURE_INDICES = ("endpointInput", "endpointOutput", "batchTransformInput", "batchTransformOutput")

_KINDS: dict[str, Kind] = {kind.casefold(): kind for kind in get_args(Kind)}
_KINDS |= {"jsonl": "json", "jsonlines": "json"}
_OPTIONS: dict[Kind, tuple[str, ...]] = {
    "csv": ("header", "output_columns_position", "separator"),
    "json": ("line", "lines"),
    "parquet": (),
    "sagemakerCaptureJson": ("captureIndexNames",),
    "sagemakerMergeJson": ("captureIndexNames",),
}
# Logs of these become captures.
_LOG = "inferenceLog"
SERVERS = ("auto", "kserve", "mlserver", "bentoml", "databricks", "azureml", "triton")
_EXAMPLE = '{"csv":{"header":true}}'


@dataclass(frozen=True)
class DatasetFormat:
    """How the files of a dataset are read.

    Parameters
    ----------
    kind
        The family of files.
    header
        CSV only: whether the first row of each file holds the column names.
    capture_indices
        Captures only: which payloads become columns.
    output_columns_position
        CSV only: ``START`` or ``END``, where predictions sit; kept for those who ask.
    separator
        CSV only: what stands between cells; None tells it from the first records.
    server
        Logs only, which are read as captures: one of `SERVERS`, None where the files tell.
    """

    kind: Kind
    header: bool = True
    capture_indices: tuple[str, ...] = ("endpointInput", "endpointOutput")
    output_columns_position: str | None = None
    separator: str | None = None
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
        raise ConfigurationError(
            f"dataset_format must be a JSON object with exactly one key, but is {text!r}; "
            f"write for example {_EXAMPLE}."
        )
    [(name, options)] = value.items()
    is_log = _normalized(name) == _normalized(_LOG)
    kind = "sagemakerCaptureJson" if is_log else _KINDS.get(_normalized(name))
    if kind is None:
        known = (*get_args(Kind), _LOG)
        raise ConfigurationError(
            f"dataset_format names the kind {name!r}, which is unknown{_suggestion(name, known)}"
        )
    if options is None:
        options = {}
    if not isinstance(options, dict):
        raise ConfigurationError(
            f"dataset_format must hold an object of options for {kind!r}, but holds {json.dumps(options)}; "
            f'write {{"{kind}":{{}}}}.'
        )
    if is_log:
        server = options.pop("server", "auto")
        if server not in SERVERS:
            raise ConfigurationError(
                f"dataset_format option server is {json.dumps(server)}; use one of {', '.join(SERVERS)}."
            )
        return replace(_with_options(kind, options), server=server)
    return _with_options(kind, options)


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
            raise ConfigurationError(
                f"rows is {text!r}; use auto, {', '.join(SHAPES)}, or one for each side as in "
                "request=columns,response=list."
            )
        found |= {index: shape for index in CAPTURE_INDICES if index.endswith(sides[side])}
    return found


def _parse(text: str) -> Any:
    stripped = text.strip()
    if re.fullmatch(r"[A-Za-z_]+", stripped):
        return stripped
    try:
        return json.loads(stripped)
    except ValueError as error:
        balance = stripped.count("{") - stripped.count("}")
        hint = " (its braces are unbalanced)" if balance else ""
        raise ConfigurationError(
            f"dataset_format is not valid JSON{hint}: {stripped!r}, {error}; write for example {_EXAMPLE}."
        ) from None


def _with_options(kind: Kind, options: dict[str, Any]) -> DatasetFormat:
    known = {_normalized(option): option for option in _OPTIONS[kind]}
    given: dict[str, Any] = {}
    for name, option_value in options.items():
        option = known.get(_normalized(name))
        if option is None:
            raise ConfigurationError(
                f"dataset_format has the option {name!r}, which {kind} does not have"
                f"{_suggestion(name, _OPTIONS[kind])}"
            )
        given[option] = option_value
    # Lines or one array: the reader sees which, so the option is only checked.
    for option in ("line", "lines"):
        _boolean(option, given.get(option, True))
    return DatasetFormat(
        kind,
        header=_boolean("header", given.get("header", True)),
        capture_indices=_indices(given.get("captureIndexNames")),
        output_columns_position=_position(given.get("output_columns_position")),
        separator=_separator(given.get("separator")),
    )


def _boolean(option: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().casefold() in ("true", "false"):
        return value.strip().casefold() == "true"
    raise ConfigurationError(f"dataset_format option {option} is {value!r}; use true or false.")


def _indices(value: Any) -> tuple[str, ...]:
    if value is None or value == []:
        return DatasetFormat.capture_indices
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigurationError(
            f"dataset_format option captureIndexNames is {json.dumps(value)}; "
            'use a list such as ["endpointInput","endpointOutput"].'
        )
    known = {_normalized(index): index for index in CAPTURE_INDICES}
    for name in names:
        if _normalized(name) not in known:
            raise ConfigurationError(
                f"dataset_format option captureIndexNames holds {name!r}, which is no capture index"
                f"{_suggestion(name, CAPTURE_INDICES)}"
            )
    return tuple(dict.fromkeys(known[_normalized(name)] for name in names))


def _position(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, str) and value.upper() in ("START", "END"):
        return value.upper()
    raise ConfigurationError(
        f"dataset_format option output_columns_position is {json.dumps(value)}; use START or END."
    )


def _separator(value: Any) -> str | None:
    if value is None or value in (",", ";", "\t", "|"):
        return None if value is None else str(value)
    if value in ("tab", "\\t"):
        return "\t"
    raise ConfigurationError(
        f"dataset_format option separator is {json.dumps(value)}; use one of , ; | and tab."
    )


def _normalized(name: str) -> str:
    return name.strip().replace("_", "").casefold()


def _suggestion(name: str, known: tuple[str, ...]) -> str:
    if not known:
        return "; leave it out."
    close = difflib.get_close_matches(name.casefold(), [option.casefold() for option in known], n=1)
    if close:
        match = next(option for option in known if option.casefold() == close[0])
        return f": did you mean {match}?"
    return f"; known are {', '.join(known)}."
