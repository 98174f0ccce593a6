"""Reading members of a JSON object with errors that name the place, and keeping what is unknown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from contract.errors import DocumentError

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
        """Return a numeric member as float."""
        member = self.get(key, (int, float), default)
        return float(member) if isinstance(member, int | float) else member

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
