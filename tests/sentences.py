"""Sentences as a test expects them: by their code in ``sentences.toml`` and by their members."""

from __future__ import annotations

import re
import string
import tomllib
from collections.abc import Iterable
from typing import Any

from fixtures import ROOT

SENTENCES = {
    f"{topic}.{name}": text if isinstance(text, str) else "".join(text)
    for topic, texts in tomllib.loads((ROOT / "contract/sentences.toml").read_text("utf-8")).items()
    for name, text in texts.items()
}


def members_of(text: str) -> set[str]:
    """Return the names of the members that a sentence has in braces."""
    names = set()
    for _, field, spec, _ in string.Formatter().parse(text):
        if field is not None:
            names.add(_name(field))
            names |= members_of(spec or "")
    return names


def says(texts: str | Iterable[str], code: str, **members: Any) -> bool:
    """Return True where the text, or one of the texts, contains the sentence that has `code`, else raise.

    Members that are given stand in it as the sentence formats them; others are any text. The first letter
    may be a capital one, and the last full stop may be gone, as where several mistakes are told at once.
    The AssertionError shows sentence and text.
    """
    texts = [texts] if isinstance(texts, str) else list(texts)
    if not said(texts, code, **members):
        shown = "\n  ".join(texts)
        raise AssertionError(
            f"{code} with {members} is not said. The sentence:\n  {SENTENCES[code]}\nThe text:\n  {shown}"
        )
    return True


def said(texts: str | Iterable[str], code: str, **members: Any) -> bool:
    """Return whether the text, or one of the texts, contains the sentence: for what should not be said."""
    unknown = set(members) - members_of(SENTENCES[code])
    assert not unknown, f"{code} has no {sorted(unknown)}"
    sentence = pattern(SENTENCES[code], members)
    return any(sentence.search(text) for text in ([texts] if isinstance(texts, str) else texts))


def pattern(sentence: str, members: dict[str, Any], other: str = ".*?") -> re.Pattern[str]:
    """Return what finds a sentence with these members; `other` stands for those that are not given."""
    parts = []
    for literal, field, spec, conversion in string.Formatter().parse(sentence.removesuffix(".")):
        parts.append(re.escape(literal))
        if field is None:
            continue
        if _name(field) in members:
            braces = f"{{{field}{'!' + conversion if conversion else ''}{':' + spec if spec else ''}}}"
            parts.append(re.escape(braces.format_map(members)))
        else:
            parts.append(other)
    whole = "".join(parts)
    # A number or word at an end is not the part of a longer one.
    begin = r"(?<!\w)(?<!\d[.,])" if whole[0].isalnum() else ""
    end = r"(?!\w|[.,]\d)" if whole[-1].isalnum() else ""
    if parts[0][:1].isalpha():
        whole = f"[{whole[0].upper()}{whole[0].lower()}]{whole[1:]}"
    return re.compile(f"{begin}{whole}{end}", re.DOTALL)


def _name(field: str) -> str:
    return re.split(r"[.\[]", field)[0]
