"""Addresses of sinks as settings write them, and what of them may be shown."""

import contextlib
import re
from dataclasses import dataclass, field
from typing import Literal, get_args
from urllib.parse import SplitResult, urlsplit

from contract.errors import ConfigurationError, topic
from contract.masking import mask
from contract.schema import nearest

Kind = Literal["prometheus-textfile", "pushgateway", "otlp", "cloudwatch", "events", "eventbridge"]

_HTTP: tuple[Kind, ...] = ("pushgateway", "otlp", "events")
DEFAULT_NAMESPACE = "ModelMonitor"
_NAMESPACE = re.compile(r"[A-Za-z0-9._\-/#: ]{1,255}")


def written() -> dict[str, dict[str, str]]:
    """Return how each kind of address is written, by the setting it belongs to."""
    return {"metrics_sinks": topic("metrics_sinks"), "event_sinks": topic("event_sinks")}


@dataclass(frozen=True)
class SinkAddress:
    """One sink.

    Parameters
    ----------
    kind
        What is spoken there.
    target
        URL, with its credentials; file or folder of a textfile; namespace of CloudWatch; name of a bus.
    shown
        The address without anything secret, for logs and messages.
    """

    kind: Kind
    target: str = field(repr=False)
    shown: str


def host_of(url: str) -> str:
    """Return ``host`` or ``host:port`` of a URL."""
    return urlsplit(url).netloc.rpartition("@")[2]


def parse_sinks(variable: str, text: str | None) -> tuple[SinkAddress, ...]:
    """Return the sinks of a setting, each once.

    Parameters
    ----------
    variable
        ``metrics_sinks`` or ``event_sinks``.
    text
        Addresses separated by commas; a comma within an address is written ``%2C``. None for no sinks.

    Raises
    ------
    ConfigurationError
        Naming the first address that cannot be used, and how to write it.
    """
    addresses = [_parse(variable, part.strip()) for part in (text or "").split(",") if part.strip()]
    return tuple(dict.fromkeys(addresses))


def _parse(variable: str, text: str) -> SinkAddress:
    scheme, _, rest = text.partition(":")
    name = scheme.partition("+")[0].casefold()
    forms = written()[variable]
    if name not in forms:
        # Without a scheme it may be anything, a piece of a password with a comma even.
        shown = text if "://" in text else re.sub("[/?#].*", "/***", f"***@{text}".rpartition("@")[2])
        raise ConfigurationError.of("sinks.kind", field=variable, text=shown, hint=_advice(variable, name))
    kind: Kind = next(kind for kind in get_args(Kind) if kind == name)
    if kind in _HTTP:
        parts = http_parts(f"{scheme.partition('+')[2].casefold()}:{rest}")
        if parts is None or any(not 32 < ord(character) < 127 for character in text):
            raise ConfigurationError.of("sinks.no_address", field=variable, text=text, form=forms[kind])
        return SinkAddress(kind, parts._replace(fragment="").geturl(), mask(text))
    if kind == "cloudwatch":
        namespace = rest or DEFAULT_NAMESPACE
        if not _NAMESPACE.fullmatch(namespace) or namespace.upper().startswith("AWS/"):
            raise ConfigurationError.of("sinks.namespace", field=variable, text=text)
        return SinkAddress("cloudwatch", namespace, f"cloudwatch:{namespace}")
    if not rest or "+" in scheme:
        raise ConfigurationError.of("sinks.form", field=variable, text=text, form=forms[kind])
    if kind == "prometheus-textfile" and ("://" in rest or not rest.endswith(("/", ".prom"))):
        raise ConfigurationError.of("sinks.no_textfile", field=variable, text=text)
    return SinkAddress(kind, rest.replace("%2C", ","), text)


def _advice(variable: str, name: str) -> str:
    forms = written()
    known = forms.pop(variable)
    for other, kinds in forms.items():
        if name in kinds:
            return f"it belongs in {other}"
    if close := nearest(name, known):
        return f"did you mean {known[close]}"
    return f"write one of {', '.join(known.values())}"


def http_parts(url: str) -> SplitResult | None:
    """Return the parts of a URL, None where it is none that can be asked."""
    with contextlib.suppress(ValueError):
        parts = urlsplit(url)
        is_http = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
        if is_http and not any(character.isspace() or ord(character) < 33 for character in url):
            return parts
    return None
