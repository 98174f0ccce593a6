"""Sentences: each code in use has one, with the members it is given, and each sentence has a user."""

import ast
import functools
import os
import re
import string
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fixtures import ROOT
from sentences import SENTENCES, members_of, pattern, said, says

from contract import errors

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


CELLS = (
    "A.csv line 12 has 3 cells, but the header has 2: '1,2,3'; quote cells that hold commas or line breaks, "
    "and leave out titles, comments and separators at the end of lines."
)


@pytest.mark.parametrize(
    ("code", "members", "is_said"),
    [
        ("csv.cells", {}, True),
        ("csv.cells", {"line": 12, "found": 3, "expected": 2, "row": "1,2,3"}, True),
        ("csv.cells", {"line": 2}, False),
        ("csv.cells", {"row": "1,2"}, False),
        ("csv.header_again", {"line": 12}, False),
        ("csv.utf16", {}, False),
    ],
)
def test_a_text_says_a_sentence_with_its_members(code: str, members: dict[str, Any], is_said: bool) -> None:
    assert said(["Another text.", CELLS], code, **members) is is_said
    if is_said:
        assert says(CELLS, code, **members)
    else:
        with pytest.raises(AssertionError, match="is not said") as caught:
            says(CELLS, code, **members)
        assert SENTENCES[code] in str(caught.value)
        assert CELLS in str(caught.value)


@pytest.mark.parametrize(
    ("text", "code", "members", "is_said"),
    [
        ("Column 'b' appears twice; rename one of the two.", "tables.twice", {"field": "b"}, True),
        ("column 'bb' appears twice; rename one of the two.", "tables.twice", {"field": "b"}, False),
        ("(1) column 'b' appears twice; rename one of the two; (2) x", "tables.twice", {"field": "b"}, True),
        ("1,000 segments and 2 of them", "segments.left_out", {}, False),
        ("rows is 11, but", "setting.near_miss", {}, False),
        ("The window has 1,500 labelled rows", "quality_notes.small_window", {"rows": 1_500}, False),
        ("11 scores are no numbers, such as 'x', and count as missing.", "quality_notes.unusable", {}, True),
        (
            "11 scores are no numbers, such as 'x', and count as missing.",
            "quality_notes.unusable",
            {"count": 1},
            False,
        ),
        ("a is unknown; did you mean bc?", "members.near_miss", {"meant": "b", "place": ""}, False),
    ],
)
def test_members_stand_as_the_sentence_formats_them(
    text: str, code: str, members: dict[str, Any], is_said: bool
) -> None:
    assert said(text, code, **members) is is_said


def test_a_member_that_a_sentence_lacks_is_a_mistake_of_the_test() -> None:
    with pytest.raises(AssertionError, match="fld"):
        says("Column 'b' appears twice", "tables.twice", fld="b")


# --- Tests assert codes and members: nobody but the golden file holds a sentence ---

ENDS = re.compile(r"(?<!\.)[.?!]\$?\s*$")
WORD = re.compile(r"\S*[\w…]\S*")
FEWEST_WORDS = 5


def compared(source: str) -> Iterator[tuple[int, str]]:
    """Yield the texts that a module's functions compare with, and the lines of these.

    They are those of ``assert`` and ``match=``, and what the module gives to the names in these: by
    assignment, in a loop over literals, or by ``parametrize``. Members given to `says` are no such texts.
    """
    tree = ast.parse(source)
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        nodes = list(ast.walk(function))
        looked_at = [node.test for node in nodes if isinstance(node, ast.Assert)]
        looked_at += [node.value for node in nodes if isinstance(node, ast.keyword) and node.arg == "match"]
        names = {name for look in looked_at for name in names_in(look)}
        given: list[ast.expr] = []
        for node in (*tree.body, *nodes):
            if isinstance(node, ast.Assign):
                given += given_to(names, node.targets[0], [node.value])
            if isinstance(node, ast.AnnAssign) and node.value:
                given += given_to(names, node.target, [node.value])
            if isinstance(node, ast.For | ast.comprehension):
                given += given_to(names, node.target, elements(node.iter))
        for decorator in function.decorator_list:
            if isinstance(decorator, ast.Call) and ast.unparse(decorator.func).endswith("parametrize"):
                asked, rows = decorator.args[:2]
                given += given_to(names, asked, elements(rows))
        for look in looked_at:
            yield from texts_in(look, calls=True)
        for look in given:
            yield from texts_in(look, calls=False)


def names_in(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name):
        yield node.id
    for child in [] if is_saying(node) else ast.iter_child_nodes(node):
        yield from names_in(child)


def is_saying(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) in ("says", "said")


def given_to(names: set[str], target: ast.expr, values: list[ast.expr]) -> Iterator[ast.expr]:
    """Yield of the values those that go to one of the names; several targets take them apart."""
    if isinstance(target, ast.Constant) and "," in str(target.value):
        target = ast.Tuple([ast.Constant(name.strip()) for name in str(target.value).split(",")])
    for value in values:
        if isinstance(target, ast.Tuple | ast.List):
            for one, part in zip(target.elts, elements(value), strict=False):
                yield from given_to(names, one, [part])
        elif (target.value if isinstance(target, ast.Constant) else ast.unparse(target)) in names:
            yield value


def elements(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.Call):  # such as pytest.param(...)
        return node.args
    return node.elts if isinstance(node, ast.Tuple | ast.List | ast.Set) else []


def texts_in(node: ast.AST, *, calls: bool) -> Iterator[tuple[int, str]]:
    """Yield each text written out, with … for what is filled in; those given to functions where asked."""
    if isinstance(node, ast.Call) and (is_saying(node) or not calls):
        node = node.func
    text = written(node)
    if text is not None and isinstance(node, ast.expr):
        yield node.lineno, text
    for child in ast.iter_child_nodes(node):
        if text is None or written(child) is None:
            yield from texts_in(child, calls=calls)


def written(node: ast.AST) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(written(part) or "…" for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        sides = written(node.left), written(node.right)
        return None if sides == (None, None) else "".join(side or "…" for side in sides)
    return None


def sentences_of(source: str) -> list[str]:
    """Return what looks like a whole sentence, or is a whole text of ``sentences.toml``, with its line."""
    found = {
        (line, text)
        for line, text in compared(source)
        if (len(WORD.findall(text)) >= FEWEST_WORDS and ENDS.search(text))
        or any(whole.search(text) for whole in whole_texts())
    }
    return [f"{line}: {text!r}" for line, text in sorted(found)]


@functools.cache
def whole_texts() -> list[re.Pattern[str]]:
    """Return what finds the texts that have some words of their own, each member being any text."""
    return [
        pattern(text, {}, other=".+")
        for text in SENTENCES.values()
        if len(WORD.findall(" ".join(literal for literal, *_ in string.Formatter().parse(text)))) > 3
    ]


MODULES = sorted({*(ROOT / "tests").rglob("*.py")} - {Path(__file__)})


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_tests_assert_codes_and_members(path: Path) -> None:
    found = sentences_of(path.read_text(encoding="utf-8"))
    assert not found, "\n".join(["assert says(text, code, member=...) of sentences.py instead of", *found])


WHOLE = "The file data.csv has two heads."


@pytest.mark.parametrize(
    "body",
    [
        f"assert text == {WHOLE!r}",
        f"assert {WHOLE!r} in text",
        f"assert not text.startswith({WHOLE!r})",
        f"assert [{{'description': {WHOLE!r}}}] == text",
        "assert text == f'The file {name} has two heads.'",
        "assert text == ('The file data.csv '\n 'has two heads.')",
        "assert text == 'The file ' + name + ' has two heads.'",
        "assert 'data.csv: did you mean other.csv?' in text",
        "assert text == 'The file {} has two heads.'.format(name)",
        "assert text == re.escape('The file data.csv has two heads.')",
        "whole = 'The file {} has two heads.'.format(name)\n assert whole in text",
        r"with raises(match=r'^The file data\.csv has two heads\.$'): pass",
        f"whole = {WHOLE!r}\n assert whole in text",
        "assert \"column 'b' appears twice; rename one of the two\" in text",
        f"for name, whole in [('a', {WHOLE!r})]: assert whole in text",
    ],
)
def test_what_a_whole_sentence_looks_like(body: str) -> None:
    assert sentences_of(f"def test(text, name):\n {body}")


def test_a_whole_sentence_may_be_a_parameter() -> None:
    for names, row in (('("name", "whole")', f'("a", {WHOLE!r})'), ('"whole"', repr(WHOLE))):
        assert sentences_of(f"@parametrize({names}, [{row}])\ndef test(name, whole):\n assert whole in name")
        assert not sentences_of(f"@parametrize({names}, [{row}])\ndef test(name, whole):\n assert f(name)")


@pytest.mark.parametrize(
    "body",
    [
        "assert 'the file data.csv has two heads' in text",
        "assert 'two heads.' in text",
        "assert says(text, 'csv.heads', file='data.csv')",
        f"file.write_text({WHOLE!r})\n assert text",
        "assert says(text, 'tables.no_attribute', columns='the columns are a, b.')",
        f"left = function({WHOLE!r})\n assert left == text",
        f"whole = {WHOLE!r}\n assert says(text, 'bias_groups.absent_values', found=whole)",
        "assert text == 'a, b, c, d, e, f ...'",
        f"def help():\n  {WHOLE!r}\n assert text",
    ],
)
def test_what_is_no_whole_sentence(body: str) -> None:
    assert not sentences_of(f"def test(text, file):\n {body}")
