"""Sentences: each code in use has one, with the members it is given, and each sentence has a user."""

import ast
import os
import string
import tomllib
from collections.abc import Iterator
from pathlib import Path

from contract import errors

ROOT = Path(__file__).parents[2]
ROOMS = (
    "analyzers",
    "containers",
    "contract",
    "file_storage",
    "job_runner",
    "model_clients",
    "orchestrators/import_schedule",
    "readers",
    "reporting",
)
HAND_ON = ("contract/schema.py", "contract/dataset.py")
GOLDEN = Path(__file__).parent / "golden_sentences.txt"
SENTENCES = {
    f"{topic}.{name}": text if isinstance(text, str) else "".join(text)
    for topic, texts in tomllib.loads((ROOT / "contract/sentences.toml").read_text()).items()
    for name, text in texts.items()
}


def members_of(text: str) -> set[str]:
    names = set()
    for _, field, spec, _ in string.Formatter().parse(text):
        if field is not None:
            names.add(field.split(".")[0].split("[")[0])
            names |= members_of(spec or "")
    return names


def uses() -> Iterator[tuple[str, str, set[str], bool]]:
    """Yield (place, code, names of the members given, whether others may be given by ``**``) of each use."""
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, ast.Call):
                    continue
                called = ast.unparse(node.func).lower()
                if called == "topic":
                    for code in SENTENCES:
                        if code.startswith(f"{codes_of(node.args[0])[0]}."):
                            # Of what is noticed while rows are read, `Said.add` gives those that are named.
                            noticed = (
                                {"what", "more", "count", "rows"} if code.startswith("reading.") else set()
                            )
                            yield str(path), code, noticed & members_of(SENTENCES[code]), False
                    continue
                # Notes of a member have its key before the code, and name the field themselves.
                is_note = called.endswith(("members.note", "self.note", "holder.note"))
                is_instead = called.endswith("error.instead_of")
                is_read = called.endswith(("said.say", "self.say")) or called in ("say", "notice", "note")
                is_other = called.endswith(("error.of", "wording", "mistakes.add"))
                if not (is_note or is_instead or is_read or is_other):
                    continue
                if is_read and not isinstance(node.args[0], ast.Constant):
                    continue  # the code that they were given
                if str(path.relative_to(ROOT)) in HAND_ON and not isinstance(node.args[-1], ast.Constant):
                    continue  # the code that they were given
                given = {keyword.arg for keyword in node.keywords if keyword.arg}
                given |= {"field"} if is_note else set()
                for code in codes_of(node.args[1 if is_note else 0]):
                    if is_instead:  # which gives these itself, where the sentence has them
                        given |= {"problem", "error"} & members_of(SENTENCES.get(code, ""))
                    if is_read and "." not in code:
                        continue  # counted, and said by others
                    counted = {"count", "rows", "place"} if called in ("notice", "note") else set()
                    given |= counted & members_of(SENTENCES.get(code, ""))
                    place = f"{path.relative_to(ROOT)}:{node.lineno}"
                    yield place, code, given, any(keyword.arg is None for keyword in node.keywords)


def codes_of(node: ast.expr) -> list[str]:
    if isinstance(node, ast.IfExp):
        return [*codes_of(node.body), *codes_of(node.orelse)]
    assert isinstance(node, ast.Constant), f"{ast.unparse(node)}: write codes out"
    return [str(node.value)]


def test_every_use_gives_what_its_sentence_names() -> None:
    wrong = []
    for place, code, given, more in uses():
        wanted = members_of(SENTENCES[code]) if code in SENTENCES else None
        if (
            wanted is None
            or not (wanted <= given or more)
            or not given <= wanted | {"file", "field", "details"}
        ):
            wrong.append(f"{place}: {code} is given {sorted(given)}, names {sorted(wanted or ())}")
    assert not wrong, "\n".join(wrong)


def test_every_sentence_is_used() -> None:
    assert set(SENTENCES) - {code for _, code, _, _ in uses()} == set()


class Shown:
    """Stands for any member in the golden file, however it is formatted."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __format__(self, spec: str) -> str:
        return f"<{self.name}>"

    def __repr__(self) -> str:
        return f"'<{self.name}>'"

    def __str__(self) -> str:
        return f"<{self.name}>"

    def __getattr__(self, name: str) -> "Shown":
        return Shown(f"{self.name}.{name}")

    def __getitem__(self, key: object) -> "Shown":
        return Shown(f"{self.name}[{key}]")


def test_sentences_are_the_golden_ones() -> None:
    shown = "".join(
        f"{code}\n    {errors.wording(code, **{name: Shown(name) for name in members_of(text)})}\n"
        for code, text in sorted(SENTENCES.items())
    )
    if os.environ.get("GOLDEN") == "write":
        GOLDEN.write_text(shown)
    assert shown == GOLDEN.read_text(), "GOLDEN=write writes what is now; read the difference before it lands"


def test_an_error_carries_its_members() -> None:
    members = {"separator": "semicolons", "other": "b.csv", "expected": "commas"}
    error = errors.DatasetError.of("csv.separators", file="a.csv", **members)
    assert (error.code, error.file, error.field) == ("csv.separators", "a.csv", "")
    assert error.fix == "write all files alike."
    assert error.message == f"a.csv has semicolons between its cells, but b.csv has commas; {error.fix}"


def test_topics_read_by_themselves_hold_what_the_whole_file_does() -> None:
    whole = tomllib.loads((ROOT / "contract/sentences.toml").read_text(encoding="utf-8"))
    for name, texts in whole.items():
        assert errors.topic(name) == {code: "".join(text) for code, text in texts.items()}
