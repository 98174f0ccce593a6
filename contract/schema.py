"""JSON objects: members declared once, to read and to write.

A dataclass is the schema of an object: each of its fields says by `member` how it is read and written.
Mistakes name the path of the member, and all of one file are told together. What nobody knows is a mistake in
a configuration. In a document it is one where it is nearly a member's name; the rest is kept.
"""

import contextlib
import difflib
import functools
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from typing import Any, Literal, NamedTuple

from contract.errors import ConfigurationError, DocumentError, InputError, Mistake, wording

# Beyond this, floats no longer hold every integer.
_MOST = 2**53
_SHOWN = 60
# The default of a member that must be there.
REQUIRED: Any = MISSING


class Mistakes:
    """What is wrong with a file, gathered while reading it.

    Parameters
    ----------
    where
        The file, empty for none.
    what
        What it is that is wrong, in the plural.
    """

    def __init__(self, where: str, what: str = "members") -> None:
        self.where, self.what = where, what
        self.found: list[Mistake] = []
        # Names that were meant by others; whether all names of the document have been looked at.
        self.meant: set[str] = set()
        self.names_known = False

    def add(self, code: str, **members: Any) -> None:
        """Note a mistake by the code of its clause, which names the member `field` and the fix."""
        self.meant |= {members["meant"]} if code == "members.near_miss" else set()
        self._note(code, str(members.get("field", "")), wording(code, **members))

    def _note(self, code: str, field: str, text: str) -> None:
        mistake = Mistake(code, field, text.rstrip("."))
        if mistake not in self.found:
            self.found.append(mistake)

    def forget(self, code: str, field: str) -> None:
        """Take a mistake back that another one explains."""
        self.found = [one for one in self.found if (one.code, one.field) != (code, field)]

    def attempt[**P, T](self, read: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T | None:
        """Return what `read` gives; None where it raises InputError, which is noted."""
        try:
            return read(*arguments, **named)
        except InputError as error:
            self._note(error.code, error.field, error.message)
            return None

    def stop_if_any(self, error: type[InputError] = ConfigurationError) -> None:
        """Raise an error with all of them, when there are any."""
        if not self.found:
            return
        first, said = self.found[0], self.found[0].text
        if len(self.found) > 1:
            numbered = (f"({number}) {mistake.text}" for number, mistake in enumerate(self.found, start=1))
            said = f"{len(self.found)} {self.what} are wrong: {'; '.join(numbered)}"
        where = f"{self.where}: " if self.where else ""
        text = f"{where}{said}{'' if said.endswith('?') else '.'}"
        raise error(text, file=self.where, field=first.field, code=first.code, mistakes=tuple(self.found))


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
        self.is_object = isinstance(value, dict)
        self.members: dict[str, Any] = value if self.is_object else {}
        self._known: dict[str, None] = {}
        if not self.is_object:
            place = path or "the file"
            mistakes.add("members.no_object", field=path, place=place, value=shown(value))

    def place(self, key: str) -> str:
        """Return the path of a member."""
        return f"{self.path}.{key}" if self.path else key

    def note(self, key: str, code: str, **members: Any) -> None:
        """Note what is wrong with a member: the code of a clause, and what it needs besides `field`."""
        self.mistakes.add(code, field=self.place(key), **members)

    def wrong(self, key: str, expected: str, example: str = "") -> None:
        """Note that a member is not what was expected."""
        hint = f"; write {example}" if example else ""
        self.note(key, "members.wrong", expected=expected, value=shown(self.members[key]), hint=hint)

    def note_missing(self, key: str) -> None:
        """Note that a member is missing, unless there is no object that could have it."""
        if self.is_object and key not in self.mistakes.meant:
            self.note(key, "members.missing")

    def raw(self, key: str, default: Any = None) -> Any:
        """Return a member as it is, None when absent; where the default is REQUIRED it must be there."""
        self._known[key] = None
        value = self.members.get(key)
        if value is None and default is REQUIRED:
            self.note_missing(key)
        return value

    def checked(self, key: str, fits: Callable[[Any], bool], expected: str, example: str = "") -> Any:
        """Return a member that fits; None when it is absent, or does not fit, which is noted."""
        value = self.raw(key)
        if value is None or fits(value):
            return value
        self.wrong(key, expected, example)
        return None

    def get(self, key: str, kind: type, default: Any = REQUIRED) -> Any:
        """Return a member of one of the kinds of JSON; without a default it must be there."""
        value = self.raw(key, default)
        if type(value) is kind:
            return value
        if value is not None:
            self.wrong(key, _NAMES[kind])
        return kind() if default is REQUIRED else default

    def number(self, key: str, default: Any = REQUIRED) -> Any:
        """Return a numeric member as float, also one that the originals write as ``"NaN"`` or ``"Infinity"``.

        One that is not a number is the default where that is None.
        """
        value = self.raw(key, default)
        if type(value) in (int, float) or value in ("NaN", "Infinity", "-Infinity"):
            number = float(value)
            return default if default is None and math.isnan(number) else number
        if value is not None:
            self.wrong(key, "a number")
        return 0.0 if default is REQUIRED else default

    def count(self, key: str, default: Any = REQUIRED) -> int:
        """Return a member that counts something; files of the originals may write it with a point."""
        number = self.number(key, default)
        if not 0 <= number <= _MOST:
            self.wrong(key, "a count of 0 or more")
        return int(number)

    def child(self, key: str) -> "JsonObject | None":
        """Return the object at `key`, None when absent."""
        value = self.raw(key)
        return None if value is None else JsonObject(value, self.place(key), self.mistakes)

    def within(self, *path: str) -> "JsonObject":
        """Return an object inside of others, an empty one where it is absent."""
        inner = self
        for key in path:
            inner = inner.child(key) or JsonObject({}, inner.place(key), self.mistakes)
        return inner

    def children(self, key: str, default: Any = REQUIRED) -> "list[JsonObject]":
        """Return the list of objects at `key`."""
        values, place = self.get(key, list, default), self.place(key)
        return [JsonObject(value, f"{place}[{at}]", self.mistakes) for at, value in enumerate(values)]

    def objects(self) -> "dict[str, JsonObject]":
        """Return all members, each of which must be an object."""
        return {key: JsonObject(self.raw(key), self.place(key), self.mistakes) for key in self.members}

    def extra(self) -> dict[str, Any]:
        """Return the members nobody asked for."""
        return {key: member for key, member in self.members.items() if key not in self._known}

    def note_near_misses(self, known: Iterable[str] = ()) -> None:
        """Note unknown members whose names are nearly known, or in `known`; ``x-`` begins a user's."""
        plain = {plain_name(name): name for name in (*known, *self._known)}
        for key in () if self.mistakes.names_known else self.extra():
            meant = None if key in known or key.startswith(_OWN) else _nearest(plain_name(key), plain, _NEAR)
            if meant:
                self.mistakes.forget("members.missing", self.place(meant))
                self.note(key, "members.near_miss", meant=meant, place="")

    def finish(self) -> None:
        """Note the members that nobody asked for."""
        for key in self.extra():
            self.note(key, "members.unknown", hint=suggestion(key, self._known))

    def require(self, key: str, example: str) -> None:
        """Note a member that is missing or empty; one that is wrong or misspelt has been noted already."""
        misspelt = any(suggestion(name, self._known) == suggestion(key, [key]) for name in self.extra())
        if self.members.get(key) in (None, []) and not misspelt:
            self.note(key, "members.required", example=example)


# Names that begin so are the user's own; how near a name must be to be taken for another.
_OWN, _NEAR = "x-", 0.8


def plain_name(name: str) -> str:
    """Return a name without case and separators, by which near misses are found."""
    return name.replace("_", "").replace("-", "").casefold()


@contextlib.contextmanager
def gathered(value: Any, where: str) -> Iterator[JsonObject]:
    """Yield the object that a document holds; when the block ends, its mistakes are one DocumentError."""
    mistakes = Mistakes(where)
    members = JsonObject(value, "", mistakes)
    mistakes.stop_if_any(DocumentError)
    try:
        yield members
    finally:
        # Whatever else has gone wrong then comes of them.
        mistakes.stop_if_any(DocumentError)


_NAMES = {
    str: "text",
    int: "a whole number",
    float: "a number",
    dict: "an object",
    list: "a list",
    bool: "true or false",
}


class Level(NamedTuple):
    """The members that an object of a document may have, each with the level below it; ``*`` is any name.

    `called` is what messages call such an object.
    """

    called: str
    members: "Mapping[str, Level | None]"


def unused_members(value: Any, level: Level, mistakes: Mistakes) -> list[str]:
    """Return the paths of members that have no effect; those nearly named like a known one are mistakes."""
    mistakes.names_known = True
    return list(_unused(value, level, "", dict(_homes(level)), mistakes))


def _homes(level: Level) -> Iterator[tuple[str, str]]:
    """Yield every known name with the object it belongs into, the outermost last."""
    for below in level.members.values():
        yield from _homes(below) if below else ()
    yield from ((name, level.called) for name in reversed([*level.members]) if name != "*")


def _unused(
    value: Any, level: Level, where: str, homes: Mapping[str, str], mistakes: Mistakes
) -> Iterator[str]:
    for name, member in value.items() if isinstance(value, dict) else ():
        place, known = f"{where}.{name}".removeprefix("."), name if name in level.members else "*"
        if known in level.members:
            below = level.members[known]
            if below is not None:
                for inner, each in _objects(member, below, where, place):
                    yield from _unused(each, below, inner, homes, mistakes)
        elif name.startswith(_OWN):
            continue
        elif name in homes:
            mistakes.add("members.misplaced", field=place, home=homes[name])
        else:
            # Of two spellings the first is shown, and what belongs here before what belongs elsewhere.
            names = {plain_name(one): one for one in reversed([*level.members, *homes])}
            names |= {short: full for short, full in _SHORT.items() if full in homes}
            meant = _nearest(plain_name(name), names, _NEAR)
            if not meant:
                yield place
                continue
            elsewhere = "" if meant in level.members else f" in {homes[meant]}"
            mistakes.add("members.near_miss", field=place, meant=meant, place=elsewhere)


def _objects(value: Any, level: Level, where: str, place: str) -> Iterator[tuple[str, Any]]:
    """Yield an object, or those of a list, with their paths: by their names, such as ``feature 'age'``."""
    if not isinstance(value, list):
        yield place, value
        return
    for at, each in enumerate(value):
        name = each.get("name") if isinstance(each, dict) else None
        called = f"{where}.{level.called.removeprefix('a ')} {name!r}".removeprefix(".")
        yield called if name else f"{place}[{at}]", each


_SHORT = {"min": "minimum", "max": "maximum"}


def features_have(value: dict[str, Any], *keys: str) -> bool:
    """Return whether any of the features of a document has one of `keys`."""
    features = value.get("features")
    return isinstance(features, list) and any(one.keys() & keys for one in features if isinstance(one, dict))


@dataclass(kw_only=True)
class Kept:
    """Members of a document that nobody knows here, and the order of all; both are written back."""

    extra: dict[str, Any] = field(default_factory=dict)
    order: tuple[str, ...] = ()


# How one member of an object is read: by its key; None when it is absent or wrong.
Reader = Callable[[JsonObject, str], Any]
Written = Literal["always", "if known", "if any"]


class Member(NamedTuple):
    """How a field of a dataclass stands in a file; see `member`."""

    read: Reader
    key: str
    inside: tuple[str, ...]
    write: Callable[[Any], Any] | None
    written: Written
    ours: bool


def member(
    read: Reader,
    default: Any = None,
    *,
    key: str = "",
    inside: str = "",
    write: Callable[[Any], Any] | None = None,
    written: Written = "if known",
    ours: bool = False,
) -> Any:
    """Return a field of a dataclass that is a member of a JSON object.

    Parameters
    ----------
    read
        From the file to the field.
    default
        What the field is when the member is absent or wrong; REQUIRED where it must be there.
    key
        In the file, where it is not the field's name.
    inside
        The object in the object that has it; several joined by points.
    write
        Back to the file; None for dataclasses, lists and objects of them, and what is as it was read.
    written
        ``if known``: unless it is None. ``if any``: unless it is empty or zero.
    ours
        Whether the originals' files do not have it.
    """
    path = tuple(inside.split(".")) if inside else ()
    how = {"member": Member(read, key, path, write, written, ours)}
    if isinstance(default, list | dict):
        return field(default_factory=type(default), metadata=how)
    return field(default=default, metadata=how)


@functools.cache
def _members(kind: Any) -> tuple[tuple[str, str, bool, Member], ...]:
    """Return name, key, whether it must be there, and the member, of each field that is one."""
    return tuple(
        (one.name, how.key or one.name, one.default is REQUIRED and one.default_factory is REQUIRED, how)
        for one in fields(kind)
        if (how := one.metadata.get("member")) is not None
    )


def level_of(kind: Any, called: str, **below: Level | None) -> Level:
    """Return the level of the objects that are read as a dataclass, with those below some of its members."""
    names = dict.fromkeys(how.inside[0] if how.inside else key for _, key, _, how in _members(kind))
    return Level(called, {**names, **below})


def _read(kind: Any, members: JsonObject) -> dict[str, Any]:
    found = {}
    for name, key, must_be_there, how in _members(kind):
        holder = members.within(*how.inside) if how.inside else members
        value = how.read(holder, key)
        if value is not None:
            found[name] = value
        elif must_be_there:
            found[name] = None
            if holder.members.get(key) is None:
                holder.note_missing(key)
    return found


def read_members[T](
    kind: Callable[..., T], members: JsonObject, refused: Mapping[str, str] | None = None, **others: Any
) -> T:
    """Return a dataclass made of an object of a configuration; unknown members are noted.

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
            members.note(key, "members.not_tabular", subject=subject)
    found = _read(kind, members)
    members.finish()
    return kind(**found, **others)


def read_document[T](kind: Callable[..., T], members: JsonObject, **others: Any) -> T:
    """Return a dataclass made of an object of a document; what is unknown is kept in its ``extra``.

    Unknown names that are nearly known are noted. `others` are fields that are no members.
    """
    found = _read(kind, members) | others
    members.note_near_misses()
    inner = dict.fromkeys(how.inside for _, _, _, how in _members(kind) if how.inside)
    for path in inner:
        keys = [key for _, key, _, how in _members(kind) if how.inside[: len(path)] == path]
        deeper = [one[len(path)] for one in inner if len(one) > len(path) and one[: len(path)] == path]
        members.within(*path).note_near_misses([*keys, *deeper])
    schema: Any = kind
    names = {one.name for one in fields(schema)}
    if "extra" in names:
        found["extra"] = members.extra()
    if "order" in names:
        found["order"] = tuple(members.members)
    return kind(**found)


def write_document(instance: Any, *, with_ours: bool = True, **head: Any) -> dict[str, Any]:
    """Return a dataclass as a JSON object, with what was unknown, in the order of the file it came from.

    `head` are members before all others.
    """
    written = head
    kind: Any = type(instance)
    for name, key, _, how in _members(kind):
        value = getattr(instance, name)
        known = how.written == "always" or (value is not None and (value or how.written == "if known"))
        if not known or (how.ours and not with_ours):
            continue
        holder = written
        for step in how.inside:
            holder = holder.setdefault(step, {})
        holder[key] = _to_json(value, with_ours) if how.write is None else how.write(value)
    return in_order(written, getattr(instance, "extra", {}), getattr(instance, "order", ()))


def _to_json(value: Any, with_ours: bool) -> Any:
    if isinstance(value, dict):
        return {name: _to_json(one, with_ours) for name, one in value.items()}
    if isinstance(value, list | tuple) and value and is_dataclass(value[0]):
        return [write_document(one, with_ours=with_ours) for one in value]
    return write_document(value, with_ours=with_ours) if is_dataclass(value) else value


def in_order(members: dict[str, Any], extra: dict[str, Any], order: Iterable[str]) -> dict[str, Any]:
    """Return `members` and `extra` together, keys of the file read first and in their order there."""
    if not extra and not order:
        return members
    everything = {**members, **extra}
    return {key: everything[key] for key in order if key in everything} | everything


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
        if refused and folded in refused:
            members.note(key, "members.not_served", value=value, subject=refused[folded])
        else:
            members.note(key, "members.choice", value=value, hint=suggestion(folded, known.values()))
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
                members.note(f"{key}[{position}]", "members.element", expected=expected, value=shown(element))
                return ()
        return tuple(found or ())

    return read


def child(kind: Callable[..., Any], refused: Mapping[str, str] | None = None) -> Reader:
    """Return what reads an object of a configuration as a dataclass; see `read_members`."""
    return nested(functools.partial(read_members, kind, refused=refused))


def nested(read: Callable[[JsonObject], Any]) -> Reader:
    """Return what reads an object by `read`."""
    return lambda members, key: None if (found := members.child(key)) is None else read(found)


def object_of(kind: Callable[..., Any]) -> Reader:
    """Return what reads an object of a document as a dataclass; see `read_document`."""
    return nested(functools.partial(read_document, kind))


def objects_of(kind: Callable[..., Any]) -> Reader:
    """Return what reads a list of such objects, None when absent."""

    def read(members: JsonObject, key: str) -> list[Any] | None:
        if members.raw(key) is None:
            return None
        return [read_document(kind, each) for each in members.children(key)]

    return read


def of_kind(kind: type, default: Any = None) -> Reader:
    """Return what reads a member of one of the kinds of JSON."""
    return lambda members, key: members.get(key, kind, default)


def number(members: JsonObject, key: str) -> Any:
    """Read a number, None for NaN."""
    return members.number(key, None)


def count(members: JsonObject, key: str) -> int | None:
    """Read a number of things."""
    return None if members.raw(key) is None else members.count(key)


def effect(members: JsonObject, key: str) -> float:
    """Read a design effect, which is 1 or more."""
    return max(1.0, float(members.number(key, 1.0)))


def numbers(members: JsonObject, key: str) -> list[float] | None:
    """Read a list of numbers."""
    found: list[float] | None = members.get(key, list, None)
    if not all(type(number) in (int, float) for number in found or ()):
        members.note(key, "members.numbers")
    return found


def pair(members: JsonObject, key: str) -> tuple[float, float] | None:
    """Read a list of two numbers."""
    ends = numbers(members, key) or ()
    return (float(ends[0]), float(ends[1])) if len(ends) == 2 else None


def texts(members: JsonObject, key: str) -> list[str] | None:
    """Read a list of texts."""
    found = members.get(key, list, None)
    return None if found is None else [str(text) for text in found]


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
    return _nearest(name.casefold(), {one.casefold(): one for one in reversed(list(known))}, cutoff)


def _nearest(plain: str, names: Mapping[str, str], cutoff: float) -> str | None:
    """Return the name whose plain form, the key, is nearest."""
    close = difflib.get_close_matches(plain, names, n=1, cutoff=cutoff)
    return names[close[0]] if close else None


def hint(name: str, known: Iterable[str]) -> str:
    """Return the end of a sentence about an unknown name: the nearest known one, if any."""
    close = nearest(name, known)
    return f"; did you mean {close!r}?" if close else "."


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return the end of a clause about an unknown name: the nearest known one, or all of them."""
    names = list(dict.fromkeys(known))
    if close := next((one for one in names if one.startswith(f"{name}_")), None) or nearest(name, names):
        return f": did you mean {close}?"
    return f"; known are {', '.join(names)}" if names else "; leave it out"


def shown(value: Any) -> str:
    """Return a JSON value as text for a message, shortened."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def require_once(where: str, members: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object that has no member twice, of which readers of JSON take the last in silence."""
    if len({name for name, _ in members}) < len(members):
        twice = Counter(name for name, _ in members).most_common(1)[0][0]
        raise DocumentError.of("json.twice", file=where, field=twice)
    return dict(members)
