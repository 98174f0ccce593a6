"""Where labels lie in files that are not written as lines of labels."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from contract.dataset import HumanReview
from contract.errors import DatasetError
from file_storage.storage import SourceFile, read_bytes
from readers.python_rows import loads, scalar_text

if TYPE_CHECKING:
    pass


# Answers of human reviewers (Amazon Augmented AI) as labels.
#
# Augmented AI writes one ``output.json`` per human loop. It becomes one label:
#
# ========  ============================================================================================
# id        the first of `HumanReview.id_attributes` found in ``inputContent``, else ``humanLoopName``
# label     in each of ``humanAnswers``, the member of ``answerContent`` at `HumanReview.label_attribute`
# answers   the label most reviewers gave; among equals the one whose last answer came latest
# ========  ============================================================================================
#
# A file counts as such when its name ends with ``.json`` and its content is one object with
# ``humanAnswers``.


_LARGEST = 16 << 20


@dataclass(frozen=True)
class Answers:
    """What the reviewers of one inference concluded."""

    identifier: str
    label: str
    encoding: str
    path: str


def read_answers(file: SourceFile, review: HumanReview) -> list[Answers] | None:
    """Return the label of a human loop's output, none when nobody has answered.

    Returns
    -------
    At most one label; None when the file is no such output.

    Raises
    ------
    DatasetError
        When the label cannot be found; names the file and what there is.
    """
    if not file.path.endswith(".json") or file.size > _LARGEST:
        return None
    content = read_bytes(file.path)
    if b'"humanAnswers"' not in content:
        return None
    try:
        loop = loads(content)
    except ValueError:
        return None  # perhaps lines; whoever reads them says what is wrong
    if not isinstance(loop, dict) or not isinstance(loop.get("humanAnswers"), list):
        return None
    answers = [answer for answer in loop["humanAnswers"] if isinstance(answer, dict)]
    if not answers:
        return []
    label, encoding = _majority([_label_of(answer, review, file.path) for answer in _by_time(answers)])
    return [Answers(_identifier(loop, review, file.path), label, encoding, file.path)]


def _by_time(answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    # ISO 8601 in UTC, as the service writes it, sorts as text.
    return sorted(answers, key=lambda answer: str(answer.get("submissionTime") or ""))


def _majority(labels: list[tuple[str, str]]) -> tuple[str, str]:
    """Return the most frequent label; the last of those that are equally frequent."""
    latest = {label: position for position, label in enumerate(labels)}
    return max(latest, key=lambda label: (labels.count(label), latest[label]))


def _identifier(loop: dict[str, Any], review: HumanReview, path: str) -> str:
    content = loop.get("inputContent")
    for attribute in review.id_attributes:
        found = _at(content, attribute)
        if isinstance(found, str | int) and not isinstance(found, bool) and found != "":
            return str(found)
    name = loop.get("humanLoopName")
    if isinstance(name, str) and name:
        return name
    raise DatasetError(
        f"{path} names no inference: inputContent has none of {', '.join(review.id_attributes)}, and there "
        "is no humanLoopName; start human loops with the inferenceId in their input."
    )


def _label_of(answer: dict[str, Any], review: HumanReview, path: str) -> tuple[str, str]:
    content = answer.get("answerContent")
    leaves = dict(_leaves("", content))
    if review.label_attribute is None:
        if len(leaves) == 1:
            return _as_label(next(iter(leaves.values())))
    else:
        found = _at(content, review.label_attribute)
        if found is not None:
            return _as_label(found)
    wanted = "no single value" if review.label_attribute is None else f"no {review.label_attribute!r}"
    there = ", ".join(leaves) or "nothing"
    close = difflib.get_close_matches(review.label_attribute or "", leaves, 1)
    fix = "set human_review_label_attribute to the one that is the label"
    raise DatasetError(
        f"{path} has {wanted} in humanAnswers.answerContent, which holds {there[:200]}; {fix}"
        + (f": did you mean {close[0]}?" if close else ".")
    )


def _as_label(value: Any) -> tuple[str, str]:
    if isinstance(value, dict | list):
        return orjson.dumps(value).decode(), "JSON"
    text = scalar_text("answerContent", value) or ""
    # A text with commas is one label, not several cells.
    return (orjson.dumps(text).decode(), "JSON") if any(mark in text for mark in ',"\n') else (text, "CSV")


def _at(value: Any, attribute: str) -> Any:
    """Return what a dotted path leads to, None for nothing; keys may contain dots themselves."""
    if isinstance(value, list):
        head, _, rest = attribute.partition(".")
        inner = value[int(head)] if head.isdecimal() and int(head) < len(value) else None
        return _at(inner, rest) if rest else inner
    if not isinstance(value, dict):
        return None
    if attribute in value:
        return value[attribute]
    for key, inner in value.items():
        if attribute.startswith(f"{key}."):
            found = _at(inner, attribute[len(key) + 1 :])
            if found is not None:
                return found
    return None


def _leaves(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    members = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    )
    if members is None:
        if value is not None:
            yield prefix, value
        return
    for key, inner in members:
        yield from _leaves(f"{prefix}.{key}" if prefix else str(key), inner)
