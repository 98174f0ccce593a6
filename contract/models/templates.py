"""The shape of JSON requests: ``content_template`` and ``record_template``.

A template is JSON with placeholders where values stand: ``$records`` (all records as a list), ``$record``
(one record per request), ``$features`` (a list of values), ``$features_kvp`` (an object of name to value),
``$feature_names``, and ``"${Name}"`` with its quotes, one for each feature.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

import orjson

from contract.analysis_config.members import PredictorConfig
from contract.errors import ConfigurationError

_PLACEHOLDER = re.compile(r'"\$\{([^"}]+)\}"|\$\{([^}]+)\}|\$([A-Za-z_]+)')


@dataclass(frozen=True)
class Template:
    """A template, cut at its placeholders.

    Parameters
    ----------
    texts
        What stands between the placeholders, one more than those.
    placeholders
        Without dollar sign; those of single features are in braces, such as ``{Age}``.
    """

    texts: tuple[str, ...]
    placeholders: tuple[str, ...]

    def fill(self, values: dict[str, bytes]) -> bytes:
        """Return the text with every placeholder replaced by JSON."""
        parts = [self.texts[0].encode()]
        for placeholder, text in zip(self.placeholders, self.texts[1:], strict=True):
            parts += [values[placeholder], text.encode()]
        return b"".join(parts)

    def __contains__(self, placeholder: str) -> bool:
        return placeholder in self.placeholders


@dataclass(frozen=True)
class JsonShape:
    """How JSON requests are built.

    Parameters
    ----------
    content
        Of the whole request; None for JSON Lines.
    record
        Of one record.
    """

    content: Template | None
    record: Template

    @property
    def is_single(self) -> bool:
        """Return whether a request holds one record."""
        return self.content is not None and "record" in self.content


def json_shape(predictor: PredictorConfig, is_lines: bool) -> JsonShape:
    """Return the shape that a predictor's templates describe.

    Raises
    ------
    ConfigurationError
        When a template is missing, is no JSON, or holds other placeholders than it may.
    """
    content = predictor.content_template
    if isinstance(content, dict):
        raise ConfigurationError(
            "predictor.content_template is an object, which only time series have; give it as one text, such "
            f"as {_example(is_lines)}."
        )
    if content is None:
        kind = "application/jsonlines" if is_lines else "application/json"
        raise ConfigurationError(
            f"predictor.content_template is missing, which requests of type {kind} need; "
            f"an example is {_example(is_lines)}."
        )
    if is_lines:
        return JsonShape(None, _parse(content, "content_template", ("features",)))
    outer = _parse(content, "content_template", ("records", "record", "feature_names"))
    if ("records" in outer) == ("record" in outer):
        raise ConfigurationError(
            f"predictor.content_template {content!r} must hold either $records (a list of records) or "
            f"$record (one record per request); an example is {_example(False)}."
        )
    if predictor.record_template is None:
        raise ConfigurationError(
            "predictor.record_template is missing, which requests of type application/json need: $features "
            'for a list of values, $features_kvp for an object, or JSON with "${Name}" for each feature.'
        )
    return JsonShape(outer, _parse(predictor.record_template, "record_template", ()))


def _example(is_lines: bool) -> str:
    return "'{\"features\":$features}'" if is_lines else "'{\"instances\":$records}'"


def _parse(text: str, member: str, allowed: tuple[str, ...]) -> Template:
    """Cut a template; an empty `allowed` stands for those of a record."""
    texts, placeholders, end = [], [], 0
    for match in _PLACEHOLDER.finditer(text):
        name = match[1] or match[2]
        texts.append(text[end : match.start()])
        placeholders.append(f"{{{name}}}" if name else match[3])
        end = match.end()
    template = Template((*texts, text[end:]), tuple(placeholders))
    known = allowed or ("features", "features_kvp", "feature_names")
    for placeholder in placeholders:
        if placeholder not in known and not (not allowed and placeholder.startswith("{")):
            close = difflib.get_close_matches(placeholder.strip("{}"), known, 1)
            hint = (
                f"did you mean ${close[0]}?"
                if close
                else f"it takes {', '.join('$' + name for name in known)}."
            )
            raise ConfigurationError(
                f"predictor.{member} holds ${placeholder}, which has no meaning there; {hint}"
            )
    if set(placeholders) <= {"feature_names"} or (allowed == ("features",) and placeholders != ["features"]):
        raise ConfigurationError(
            f"predictor.{member} {text!r} must hold {' or '.join('$' + name for name in known[:2])}"
            f"{' once' if len(known) == 1 else ''}; requests would carry no data otherwise."
        )
    try:
        orjson.loads(template.fill(dict.fromkeys(placeholders, b"0")))
    except orjson.JSONDecodeError as error:
        raise ConfigurationError(
            f"predictor.{member} {text!r} is not JSON once its placeholders are filled in ({error}); "
            "check its quotes and brackets."
        ) from error
    return template
