"""Seeded damage: to bytes of any format, and to the tree of a JSON value."""

from __future__ import annotations

import copy
import json
import random
import struct
from collections.abc import Callable, Sequence
from typing import Any

TOKENS = (
    b"",
    b'"',
    b'""',
    b",",
    b"\n",
    b"\r",
    b"\r\n",
    b"\0",
    b"\xff",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\xc3",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b"\\",
    b"\\ud800",
    b"null",
    b"NaN",
    b"-Infinity",
    b"inf",
    b"1e999",
    b"-0.0",
    b"0x10",
    b"9223372036854775808",
    b"-99999999999999999999999",
    b"1e-320",
    b"2024-01-01",
    b"true",
    b"\xf0\x9f\x98\x80",
    b"a" * 300,
    b"[" * 200,
    b"," * 100,
    b"\n" * 50,
)

VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1.5,
    -0.0,
    1e308,
    5e-324,
    float("nan"),
    float("inf"),
    2**53 + 1,
    2**63 - 1,
    2**63,
    2**64,
    -(2**70),
    10**400,
    "",
    " ",
    "Enabled",
    "NaN",
    "1,2\n3",
    '"',
    "\0",
    "\ud800",
    "x" * 3000,
    "ž東😀",
    [],
    {},
    [[]],
    [{}],
    [None],
    [1, "a"],
    {"": None},
    {"a": {"b": [1, {"c": 2}]}},
    {"a.b": 1, "a": {"b": 2}},
)

LENGTHS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def damage(
    data: bytes, generator: random.Random, others: Sequence[bytes] = (), near_end: bool = False
) -> bytes:
    """Return `data` after one to several random mutations.

    Parameters
    ----------
    data
        A valid input.
    generator
        Source of all choices.
    others
        Valid inputs of the same kind, to splice with.
    near_end
        Prefer the end of the data, where Parquet keeps its structure.
    """
    for _ in range(1 + min(6, int(generator.expovariate(0.9)))):
        data = generator.choice(_MUTATIONS)(data, _position(data, generator, near_end), generator, others)
    return data


def damage_tree(value: Any, generator: random.Random) -> Any:
    """Return a copy of a JSON value after one to several random changes of its members."""
    value = copy.deepcopy(value)
    for _ in range(1 + min(4, int(generator.expovariate(0.9)))):
        places = list(_places(value))
        if not places:
            return value
        holder, key = generator.choice(places)
        generator.choice(_TREE_MUTATIONS)(holder, key, generator, value)
    return value


def json_bytes(value: Any) -> bytes:
    """Return JSON as Python writes it, NaN and lone surrogates included."""
    return json.dumps(value).encode()


def _position(data: bytes, generator: random.Random, near_end: bool) -> int:
    if near_end and generator.random() < 0.7:
        return max(0, len(data) - 1 - int(generator.expovariate(1 / 300)))
    return generator.randrange(len(data) + 1)


_Mutation = Callable[[bytes, int, random.Random, Sequence[bytes]], bytes]


def _flip(data: bytes, at: int, generator: random.Random, others: Sequence[bytes]) -> bytes:
    return (
        data[:at] + bytes(byte ^ (1 << generator.randrange(8)) for byte in data[at : at + 1]) + data[at + 1 :]
    )


def _set(data: bytes, at: int, generator: random.Random, others: Sequence[bytes]) -> bytes:
    return data[:at] + bytes([generator.randrange(256)]) + data[at + 1 :]


def _truncate(data: bytes, at: int, generator: random.Random, others: Sequence[bytes]) -> bytes:
    return data[:at]


def _delete(data: bytes, at: int, generator: random.Random, others: Sequence[bytes]) -> bytes:
    return data[:at] + data[at + _stretch(generator) :]


def _repeat(data: bytes, at: int, generator: random.Random, others: Sequence[bytes]) -> bytes:
    return data[:at] + data[at : at + _stretch(generator)] * generator.choice((2, 3, 20)) + data[at:]


def _insert(data: bytes, at: int, generator: random.Random, others: Sequence[bytes]) -> bytes:
    return data[:at] + generator.choice(TOKENS) + data[at:]


def _overwrite(data: bytes, at: int, generator: random.Random, others: Sequence[bytes]) -> bytes:
    token = generator.choice(TOKENS)
    return data[:at] + token + data[at + len(token) :]


def _insert_noise(data: bytes, at: int, generator: random.Random, others: Sequence[bytes]) -> bytes:
    return data[:at] + generator.randbytes(_stretch(generator)) + data[at:]


def _set_length(data: bytes, at: int, generator: random.Random, others: Sequence[bytes]) -> bytes:
    order = generator.choice("<>")
    length = generator.choice(LENGTHS) if generator.random() < 0.7 else len(data) + generator.randrange(-9, 9)
    return data[:at] + struct.pack(f"{order}I", max(0, length)) + data[at + 4 :]


def _splice(data: bytes, at: int, generator: random.Random, others: Sequence[bytes]) -> bytes:
    other = generator.choice(others) if others else data
    return data[:at] + other[generator.randrange(len(other) + 1) :]


def _move(data: bytes, at: int, generator: random.Random, others: Sequence[bytes]) -> bytes:
    part = data[at : at + _stretch(generator)]
    rest = data[:at] + data[at + len(part) :]
    to = generator.randrange(len(rest) + 1)
    return rest[:to] + part + rest[to:]


_MUTATIONS: tuple[_Mutation, ...] = (
    _flip,
    _flip,
    _set,
    _truncate,
    _delete,
    _repeat,
    _insert,
    _insert,
    _overwrite,
    _insert_noise,
    _set_length,
    _splice,
    _move,
)


def _stretch(generator: random.Random) -> int:
    return 1 + int(generator.expovariate(1 / 12))


def _places(value: Any) -> Any:
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


def _replace(holder: Any, key: Any, generator: random.Random, root: Any) -> None:
    holder[key] = copy.deepcopy(generator.choice(VALUES))


def _remove(holder: Any, key: Any, generator: random.Random, root: Any) -> None:
    del holder[key]


def _rename(holder: Any, key: Any, generator: random.Random, root: Any) -> None:
    if isinstance(holder, dict):
        name = generator.choice((str(key).upper(), f"{key}s", "", "name", "\ud800", "a.b"))
        holder[name] = holder.pop(key)


def _wrap(holder: Any, key: Any, generator: random.Random, root: Any) -> None:
    holder[key] = generator.choice(([holder[key]], {"value": holder[key]}, [holder[key]] * 3))


def _copy(holder: Any, key: Any, generator: random.Random, root: Any) -> None:
    other, other_key = generator.choice(list(_places(root)))
    holder[key] = copy.deepcopy(other[other_key])


def _double(holder: Any, key: Any, generator: random.Random, root: Any) -> None:
    if isinstance(holder, list):
        holder.insert(generator.randrange(len(holder) + 1), copy.deepcopy(holder[key]))


def _nudge(holder: Any, key: Any, generator: random.Random, root: Any) -> None:
    if isinstance(holder[key], int | float) and not isinstance(holder[key], bool):
        number = max(-1e308, min(1e308, holder[key]))
        holder[key] = generator.choice((-holder[key], float(number), 0, number * 1e200))


def _stringify(holder: Any, key: Any, generator: random.Random, root: Any) -> None:
    holder[key] = json.dumps(holder[key])


_TREE_MUTATIONS: tuple[Callable[[Any, Any, random.Random, Any], None], ...] = (
    _replace,
    _replace,
    _remove,
    _rename,
    _wrap,
    _copy,
    _double,
    _nudge,
    _stringify,
)
