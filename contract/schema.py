"""Reading the members of a JSON object strictly, gathering every mistake instead of stopping at the first."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field, fields
from typing import Any

from contract.errors import ConfigurationError, DocumentError, InputError

# Reading members of a JSON object with errors that name the place, and keeping what is unknown.


_MISSING = object()
# Beyond this, floats no longer hold every integer.
_MOST = 2**53


class Fields:
    """A JSON object being read: typed access by key, errors that name file and path, unknown keys kept.

    Parameters
    ----------
    value
        The parsed JSON value, expected to be an object.
    where
        File and path inside it, such as ``constraints.json: features[3]``.
    """

    def __init__(self, value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise DocumentError(f"{where} must be an object, but is {_kind(value)}.")
        self.value: dict[str, Any] = value
        self.where = where
        self._known: set[str] = set()

    def get(self, key: str, kinds: type | tuple[type, ...], default: Any = _MISSING) -> Any:
        """Return ``value[key]``, which must be of one of `kinds`; `default` when absent or null."""
        self._known.add(key)
        member = self.value.get(key)
        if member is None:
            if default is _MISSING:
                raise DocumentError(f"{self.where} has no {key!r}; is it a file of this monitor?")
            return default
        if not isinstance(member, kinds) or (isinstance(member, bool) and kinds is not bool):
            expected = " or ".join(_NAMES.get(kind, kind.__name__) for kind in _as_tuple(kinds))
            raise DocumentError(f"{self.where}.{key} must be {expected}, but is {_kind(member)}.")
        return member

    def number(self, key: str, default: Any = _MISSING) -> float:
        """Return a numeric member as float, also one that the originals write as ``"NaN"`` or ``"Infinity"``.

        One that is not a number is the default where that is None.
        """
        if self.value.get(key) in ("NaN", "Infinity", "-Infinity"):
            member = float(self.get(key, str))
        else:
            member = self.get(key, (int, float), default)
        if not isinstance(member, int | float):
            return member
        unknown = default is None and math.isnan(member)
        return default if unknown else float(member)

    def count(self, key: str, default: Any = _MISSING) -> int:
        """Return a member that counts something; files of the originals may write it with a point."""
        member = self.number(key, default)
        if not 0 <= member <= _MOST:
            raise DocumentError(f"{self.where}.{key} must be a count of 0 or more, but is {member:g}.")
        return int(member)

    def child(self, key: str) -> Fields | None:
        """Return the object at `key`, or None when absent."""
        member = self.get(key, dict, None)
        return None if member is None else Fields(member, f"{self.where}.{key}")

    def children(self, key: str, default: Any = _MISSING) -> list[Fields]:
        """Return the list of objects at `key`."""
        members = self.get(key, list, default)
        return [Fields(member, f"{self.where}.{key}[{i}]") for i, member in enumerate(members)]

    def extra(self) -> dict[str, Any]:
        """Return the members nobody asked for."""
        return {key: member for key, member in self.value.items() if key not in self._known}

    def order(self) -> tuple[str, ...]:
        """Return the keys in file order."""
        return tuple(self.value)


def features_have(value: dict[str, Any], *keys: str) -> bool:
    """Return whether any of the features of a document has one of `keys`."""
    features = value.get("features")
    return isinstance(features, list) and any(
        isinstance(feature, dict) and not feature.keys().isdisjoint(keys) for feature in features
    )


def in_order(members: dict[str, Any], extra: dict[str, Any], order: Iterable[str]) -> dict[str, Any]:
    """Return `members` and `extra` together, keys of the file read first and in their order there."""
    everything = {**members, **extra}
    ordered = {key: everything[key] for key in order if key in everything}
    return {**ordered, **everything}


_NAMES = {
    str: "text",
    int: "a number",
    float: "a number",
    dict: "an object",
    list: "a list",
    bool: "true or false",
}


def _as_tuple(kinds: type | tuple[type, ...]) -> tuple[type, ...]:
    unique = dict.fromkeys(kinds if isinstance(kinds, tuple) else (kinds,))
    return tuple(kind for kind in unique if not (kind is int and float in unique))


def _kind(value: Any) -> str:
    return "null" if value is None else _NAMES.get(type(value), type(value).__name__)


_SHOWN = 60


class Mistakes:
    """What is wrong with a file, gathered while reading it."""

    def __init__(self, where: str, what: str = "members") -> None:
        self.where = where
        self.what = what
        self.texts: list[str] = []

    def add(self, *texts: str) -> None:
        """Note mistakes: each a clause that names the member and the fix."""
        self.texts += [text.rstrip(".") for text in texts]

    def attempt[**P, T](self, read: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T | None:
        """Return what `read` gives; None where it raises InputError, which is noted."""
        try:
            return read(*arguments, **named)
        except InputError as error:
            self.add(error.message)
            return None

    def stop_if_any(self, error: type[InputError] = ConfigurationError) -> None:
        """Raise an error with all of them, when there are any."""
        texts = list(dict.fromkeys(self.texts))
        if not texts:
            return
        said = texts[0]
        if len(texts) > 1:
            numbered = (f"({number}) {text}" for number, text in enumerate(texts, start=1))
            said = f"{len(texts)} {self.what} are wrong: {'; '.join(numbered)}"
        where = f"{self.where}: " if self.where else ""
        text = f"{where}{said}{'' if said.endswith('?') else '.'}"
        raise error(text, file=self.where, mistakes=tuple(texts))


class JsonObject:
    """A JSON object being read: members that are absent or null have defaults, wrong ones are noted.

    Parameters
    ----------
    value
        The parsed JSON value; anything but an object is noted as a mistake.
    path
        Where it stands in the file, such as ``facet[0]``; empty for the file itself.
    mistakes
        Where mistakes are noted.
    """

    def __init__(self, value: Any, path: str, mistakes: Mistakes) -> None:
        self.path = path
        self.mistakes = mistakes
        self.members: Mapping[str, Any] = value if isinstance(value, dict) else {}
        self._known: list[str] = []
        if not isinstance(value, dict):
            mistakes.add(f"{path or 'the file'} must be an object, but is {shown(value)}")

    def place(self, key: str) -> str:
        """Return the path of a member."""
        return f"{self.path}.{key}" if self.path else key

    def wrong(self, key: str, expected: str, example: str = "") -> None:
        """Note that a member is not what was expected."""
        hint = f"; write {example}" if example else ""
        self.mistakes.add(f"{self.place(key)} must be {expected}, but is {shown(self.members[key])}{hint}")

    def raw(self, key: str) -> Any:
        """Return a member as it is, None when absent."""
        self._known.append(key)
        return self.members.get(key)

    def checked(self, key: str, fits: Callable[[Any], bool], expected: str, example: str = "") -> Any:
        """Return a member that fits; None when it is absent, or does not fit, which is noted."""
        value = self.raw(key)
        if value is None or fits(value):
            return value
        self.wrong(key, expected, example)
        return None

    def child(self, key: str) -> JsonObject | None:
        """Return the object at `key`, None when absent."""
        value = self.raw(key)
        return None if value is None else JsonObject(value, self.place(key), self.mistakes)

    def finish(self) -> None:
        """Note the members that nobody asked for."""
        for key in self.unknown():
            self.mistakes.add(f"{self.place(key)} is unknown{suggestion(key, self._known)}")

    def unknown(self) -> list[str]:
        """Return the members that nobody asked for."""
        return [key for key in self.members if key not in self._known]

    def is_misspelt(self, key: str) -> bool:
        """Return whether an unknown member looks like `key`."""
        return any(suggestion(name, self._known) == suggestion(key, [key]) for name in self.unknown())


# How one member of an object is read: by its key; None when it is absent or wrong.
Reader = Callable[[JsonObject, str], Any]


def member(read: Reader, default: Any = None) -> Any:
    """Return a field of a dataclass that is read from the JSON member of its name."""
    return field(default=default, metadata={"read": read})


def read_members[T](
    kind: Callable[..., T], members: JsonObject, refused: Mapping[str, str] | None = None, **others: Any
) -> T:
    """Return a dataclass whose fields say how they are read; unknown members are noted.

    Parameters
    ----------
    kind
        The dataclass. A member that is absent or wrong has the default of its field.
    refused
        Members that belong to data which are not analysed, with the name of such data.
    others
        Fields that are no members.
    """
    for key, subject in (refused or {}).items():
        if members.raw(key) is not None:
            members.mistakes.add(
                f"{members.place(key)} is for {subject}, but only tabular data is analysed; leave it out"
            )
    readers = {one.name: one.metadata["read"] for one in fields(kind) if "read" in one.metadata}  # type: ignore[arg-type]  # a dataclass, which no type says
    values = {name: read(members, name) for name, read in readers.items()}
    members.finish()
    return kind(**{name: value for name, value in values.items() if value is not None}, **others)


def checked(fits: Callable[[Any], bool], expected: str, example: str = "") -> Reader:
    """Return what reads a member that fits; see `JsonObject.checked`."""
    return lambda members, key: members.checked(key, fits, expected, example)


def whole_number(least: int = 0) -> Reader:
    """Return what reads an integer of at least `least`."""
    return checked(lambda value: type(value) is int and value >= least, f"a whole number from {least}")


def choice(choices: Iterable[str], refused: Mapping[str, str] | None = None) -> Reader:
    """Return what reads one of `choices`, letter case aside.

    `refused` are known but not served, with the reason.
    """
    known = {choice.casefold(): choice for choice in choices}

    def read(members: JsonObject, key: str) -> str | None:
        value = text(members, key)
        folded = (value or "").strip().casefold()
        if value is None or folded in known:
            return known.get(folded)
        place = members.place(key)
        if refused and folded in refused:
            members.mistakes.add(f"{place} is {value!r}, which is for {refused[folded]}")
        else:
            hint = suggestion(folded, known.values())
            members.mistakes.add(f"{place} is {value!r}, which is unknown{hint}")
        return None

    return read


def values(fits: Callable[[Any], bool], expected: str, example: str = "") -> Reader:
    """Return what reads a list, each of whose elements must fit; empty when absent."""

    def read(members: JsonObject, key: str) -> tuple[Any, ...]:
        found = members.raw(key)
        if found is not None and not isinstance(found, list):
            lone = json.dumps([found], ensure_ascii=False)[:_SHOWN] if fits(found) else example
            members.wrong(key, f"a list of {expected}", lone)
            return ()
        for position, element in enumerate(found or ()):
            if not fits(element):
                place = f"{members.place(key)}[{position}]"
                members.mistakes.add(f"{place} must be one of {expected}, but is {shown(element)}")
                return ()
        return tuple(found or ())

    return read


def child(kind: Callable[..., Any], refused: Mapping[str, str] | None = None) -> Reader:
    """Return what reads an object as a dataclass; see `read_members`."""

    def read(members: JsonObject, key: str) -> Any:
        found = members.child(key)
        return None if found is None else read_members(kind, found, refused)

    return read


def is_locator(value: Any) -> bool:
    """Return whether a JSON value can name a column: text, or a position."""
    if isinstance(value, bool):
        return False
    return value >= 0 if isinstance(value, int) else isinstance(value, str) and bool(value)


def is_value(value: Any) -> bool:
    """Return whether a JSON value can be a label or belong to a group: text, number or boolean."""
    return isinstance(value, str | int | float)


def is_text(value: Any) -> bool:
    """Return whether a JSON value is text."""
    return isinstance(value, str)


text = checked(lambda value: is_text(value) and bool(value), "text")
switch = checked(lambda value: isinstance(value, bool), "true or false")
locator = checked(is_locator, "a name, or a zero-based position")


def share(members: JsonObject, key: str) -> float | None:
    """Read a number from 0 to 1; the originals refuse one without a point."""
    found = members.checked(
        key, lambda value: type(value) in (int, float) and 0 <= value <= 1, "a number from 0 to 1"
    )
    return None if found is None else float(found)


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the known name that a name was probably meant to be, letter case aside; None when none is."""
    folded = {one.casefold(): one for one in reversed(list(known))}
    close = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=cutoff)
    return folded[close[0]] if close else None


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return the end of a clause about an unknown name: the nearest known one, or all of them."""
    names = list(dict.fromkeys(known))
    if close := nearest(name, names):
        return f": did you mean {close}?"
    return f"; known are {', '.join(names)}" if names else "; leave it out"


def shown(value: Any) -> str:
    """Return a JSON value as text for a message, shortened."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
