"""Secrets stay out of what people read: every text about an address is made by `mask`."""

import base64
import re
from collections.abc import Iterable, Iterator
from urllib.parse import parse_qsl, unquote

# An address ends before the next one of a list that is separated by commas.
_NEXT = r",\s*(?=[a-z][a-z0-9+.-]*:)"
_ADDRESS = re.compile(rf"\b([a-z][a-z0-9+.-]*)://((?:(?!{_NEXT})[^\s'\"<>])*)", re.IGNORECASE)
_WITHOUT_SCHEME = re.compile(r"(?<![^\s'\"(,=])[^\s:/@'\"=,(]+:(?!//)[^\s'\"@]+@(?=[\w\[])")
_QUERY = re.compile(r"((?<!\[)[?&][\w.%-]+=)[^\s&'\"]+")
# All but tab and line feed; a pattern of so many letters takes long to compile.
_CONTROLS = {*range(32), *range(127, 160), 0x2028, 0x2029} - {9, 10}
_WRITTEN_OUT = {code: ascii(chr(code))[1:-1] for code in _CONTROLS}
_HOST = re.compile(r"(\[[^\]]*\]|[^:]*)(:\d*)?|arn:.*")
# Words of paths that are shown. Any other word of an HTTP address may be its secret, as in webhooks.
_WORDS = frozenset(
    ["", "invocations", "ping", "v1", "v2", "models", "versions", "infer", "metrics", "job", "events", "path"]
)
_BEFORE_NAMES = ("models", "versions")  # of the Open Inference Protocol
_SHORTEST = 6  # shorter texts stand in other words, too

_secrets: set[str] = set()
_known: re.Pattern[str] | None = None


def learn(settings: Iterable[str], secrets: Iterable[str] = (), *, anew: bool = True) -> None:
    """Remember the secrets of a job, so that `mask` finds them without their address, too.

    Parameters
    ----------
    settings
        Texts that may hold addresses.
    secrets
        Texts that are secret as a whole, and each word of them.
    anew
        Whether to forget those of another job.
    """
    global _known
    if anew:
        _secrets.clear()
    found = {secret for text in settings for secret in _secrets_in(text)}
    found |= {secret for text in secrets for secret in (text, *text.split())}
    _secrets.update(found, map(unquote, found))
    longest_first = sorted((one for one in _secrets if len(one) >= _SHORTEST), key=len, reverse=True)
    any_of = "|".join(map(re.escape, longest_first))
    _known = re.compile(rf"(?<!\w)(?:{any_of})(?!\w)") if any_of else None


def mask(text: str) -> str:
    """Return `text` with ``***`` for credentials, queries and unknown paths of the addresses in it.

    What would act on a terminal is written out.
    """
    text = text.translate(_WRITTEN_OUT)
    text = _known.sub("***", text) if _known else text
    text = _ADDRESS.sub(_masked, text)
    return _QUERY.sub(r"\1***", _WITHOUT_SCHEME.sub("***@", text))


def _masked(match: re.Match[str]) -> str:
    rest = match[2].rstrip(".,;:!?)]")
    credentials, host, path, query = _split(rest)
    if match[1].casefold().endswith(("http", "https")):
        words = path.split("/")
        unknown = _first_unknown(words)
        if unknown < len(words):
            path, query = "/".join([*words[:unknown], "***"]), ""
    shown = f"{'***@' if credentials else ''}{host if _HOST.fullmatch(host) else '***'}{path}"
    return f"{match[1]}://{shown}{f'{query[0]}***' if query else ''}{match[2][len(rest) :]}"


def _split(rest: str) -> tuple[str, str, str, str]:
    """Return credentials, host, path and query, even where a password has a ``/``."""
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    end = authority.rfind("@")
    if end < 0 and ":" in authority and not authority.startswith("arn:"):
        end = rest.rfind("@")
    credentials, rest = rest[: max(end, 0)], rest[end + 1 :]
    host = re.split("[/?#]", rest, maxsplit=1)[0]
    path = re.split("[?#]", rest[len(host) :], maxsplit=1)[0]
    return credentials, host, path, rest[len(host) + len(path) :]


def _first_unknown(words: list[str]) -> int:
    for position, word in enumerate(words):
        if word not in _WORDS and words[position - 1] not in _BEFORE_NAMES:
            return position
    return len(words)


def _secrets_in(text: str) -> Iterator[str]:
    for address in re.split(_NEXT, text, flags=re.IGNORECASE):
        scheme, separator, rest = address.partition("://")
        credentials, _, path, query = _split(rest if separator else address)
        if credentials:
            yield from (credentials, base64.b64encode(unquote(credentials).encode(errors="replace")).decode())
            password = credentials.partition(":")[2] or credentials
            yield from (password, *re.split(r"[\s,/?#&'\"]+", password))
        if separator:
            yield from (value for _, value in parse_qsl(query[1:]))
        if scheme.casefold().endswith(("http", "https")):
            words = path.split("/")
            # Others are words of the language.
            yield from (word for word in words[_first_unknown(words) :] if re.search(r"\d|.{16}", word))
