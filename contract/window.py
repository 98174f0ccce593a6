"""The time window a job looks at, from times or from a duration and the present; which folders lie in it."""

import bisect
import itertools
import re
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Any, NamedTuple

from contract.errors import ConfigurationError, DatasetError

_DURATION = re.compile(
    r"(?P<sign>[+-]?)P(?:(?P<weeks>\d+)W|(?:(?P<days>\d+)D)?"
    r"(?:T(?=\d)(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+)S)?)?)"
)
_CALENDAR = re.compile(r"[+-]?P[^T]*\d[YM]")
# The end of a time that names its zone.
ZONED = r"([zZ]|UTC|GMT|[+-]\d\d(:?\d\d)?)\s*$"
DATE_FIELD = re.compile("%[YmdHM]")
# Fields of strftime that no path has, and not "%2F" or "%E4", which stand for a letter.
_OTHER_FIELD = re.compile("%(?![YmdHM]|[0-9A-Fa-f]{2})[A-Za-z]")
# Ways to say in a path when its rows are from, each with an hour or without.
_DAY_PATHS = (
    re.compile(r"(?:^|/)(\d{4})/(\d{2})/(\d{2})(?:/(\d{2}))?(?=/)"),
    re.compile(r"(?:^|/)year=(\d{4})/month=(\d{1,2})/day=(\d{1,2})(?:/(?:hour|hr)=(\d{1,2}))?(?=/)", re.I),
    re.compile(r"(?:^|/)\w+=(\d{4})-?(\d{2})-?(\d{2})(?:(?:[T_-]|/(?:hour|hr)=)(\d{2}))?(?=/)", re.I),
    re.compile(r"(?<!\d)(\d{4})-?(\d{2})-?(\d{2})(?:[T_-](\d{2}))?(?!\d)(?=[^/]*$)"),
)
# The folders that data capture writes: yyyy/mm/dd/hh in UTC.
_HOUR_FOLDER = re.compile(r"(?:^|/)(\d{4})/(\d{2})/(\d{2})/(\d{2})(?=/)")
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
# A record lies in the folder of the hour it was written, which need not be that of its inference.
CAPTURE_SLACK = timedelta(hours=1)


class Window(NamedTuple):
    """The half-open interval ``[start, end)``; both are timezone-aware, in UTC.

    `edges` has where shorter windows within it begin, the first at `start`, when these are told apart.
    """

    start: datetime
    end: datetime
    edges: tuple[datetime, ...] = ()

    def contains(self, instant: datetime) -> bool:
        """Return whether `instant` (timezone-aware) lies in the window."""
        return self.start <= instant < self.end

    def place(self, instant: datetime) -> int:
        """Return in which of the windows that are told apart an instant lies, -1 for none."""
        return max(0, bisect.bisect(self.edges, instant) - 1) if self.contains(instant) else -1

    def each(self) -> "tuple[Window, ...]":
        """Return the windows that are told apart."""
        return tuple(itertools.starmap(Window, itertools.pairwise((*self.edges, self.end))))


def between(window: Window | None) -> str:
    """Return the window as the end of a sentence, in UTC; empty for all data."""
    if window is None:
        return ""
    start, end = (instant.astimezone(UTC) for instant in (window.start, window.end))
    return f" between {start:%Y-%m-%dT%H:%M:%SZ} and {end:%Y-%m-%dT%H:%M:%SZ}"


@ConfigurationError.instead_of("window.beyond", OverflowError, field="window")
def resolve_window(
    start_time: str | None,
    end_time: str | None,
    window: str | None,
    start_time_offset: str | None,
    end_time_offset: str | None,
    now: datetime,
    *,
    each: str = "",
    zone: tzinfo = UTC,
) -> Window | None:
    """Return the window the settings ask for, None when they ask for all data.

    Parameters
    ----------
    start_time, end_time
        ISO 8601 times; without an offset they are of the time zone.
    window
        ISO 8601 duration. Beside one of the times it gives the other; alone it is the last full stretch
        before `now`, aligned to its smallest unit: ``PT1H`` ends at the full hour, ``P1D`` at midnight.
    start_time_offset, end_time_offset
        ISO 8601 durations added to start and end; a leading minus moves back.
    now
        The present, timezone-aware.
    each
        Where `window` is the step from start to end of many windows, which are then told apart, the name of
        the setting that gives it; empty otherwise.
    zone
        Days and weeks are its days and weeks.

    Raises
    ------
    ConfigurationError
        Naming the variable and a valid example.
    """
    start = read_instant("start_time", start_time, zone)
    end = read_instant("end_time", end_time, zone)
    field = each or "window"
    length = None if window is None else parse_duration(field, window, "PT1H")
    if length is not None and length <= timedelta(0):
        raise ConfigurationError.of("window.length", field=field, text=window)
    start_offset = parse_duration("start_time_offset", start_time_offset or "PT0S", "-P3D")
    end_offset = parse_duration("end_time_offset", end_time_offset or "PT0S", "-P1D")
    if each and not (start and end and length):
        missing = "window" if length is None else "end_time" if start else "start_time"
        raise ConfigurationError.of("window.each", field=missing)
    if window is not None and length is not None and not each:
        if start and end and end != _moved(start, window, length, zone):
            raise ConfigurationError.of("window.apart", field="window", text=window, length=end - start)
        if not end:
            end = _moved(start, window, length, zone) if start else _aligned(now.astimezone(zone), window)
        start = start or _moved(end, window, -length, zone)
    elif (start is None) != (end is None):
        given, missing = ("start_time", "end_time") if start else ("end_time", "start_time")
        raise ConfigurationError.of("window.half", field=missing, given=given)
    if start is None or end is None:
        if start_time_offset or end_time_offset:
            name = "start_time_offset" if start_time_offset else "end_time_offset"
            raise ConfigurationError.of("window.nothing_to_move", field=name)
        return None
    start = _moved(start, start_time_offset, start_offset, zone)
    resolved = Window(start, _moved(end, end_time_offset, end_offset, zone))
    if resolved.start >= resolved.end:
        raise ConfigurationError.of("window.backwards", start=resolved.start, end=resolved.end)
    return resolved._replace(edges=_edges(resolved, each, window or "", zone)) if each else resolved


def _moved(instant: datetime, text: str | None, duration: timedelta, zone: tzinfo) -> datetime:
    """Return an instant so much later; days and weeks follow the clock of the zone, hours are counted."""
    if "T" in (text or "T").upper():
        return instant.astimezone(UTC) + duration
    shown = _shown(instant, zone)
    return (shown + duration).replace(fold=shown.fold).astimezone(UTC)


def _shown(instant: datetime, zone: tzinfo) -> datetime:
    """Return an instant by the clock of the zone; where a day begins without its midnight, as midnight."""
    shown = instant.astimezone(zone)
    midnight = datetime.combine(shown, time(), zone)
    return midnight if midnight.astimezone(UTC) == instant.astimezone(UTC) else shown


# So many windows are a mistake; fewer say too little of what windows do by themselves.
_MOST_WINDOWS, FEWEST_WINDOWS = 20_000, 20
# How much longer or shorter windows of one length may be, as days are when clocks are put forward or back.
LONGER = 1.1


def _edges(span: Window, field: str, text: str, zone: tzinfo) -> tuple[datetime, ...]:
    """Return where each window begins.

    Raises
    ------
    ConfigurationError
        When weeks do not begin on a Monday, or the windows do not end where the whole ends.
    """
    step, first = parse_duration(field, text, "P1D"), _shown(span.start, zone)
    if text.strip().upper().endswith("W") and (first.weekday(), first.time()) != (0, time()):
        monday = datetime.combine(first.date() - timedelta(days=first.weekday()), time())
        raise ConfigurationError.of("window.no_monday", field="start_time", start=first, monday=monday)
    count = (span.end - span.start) // step
    if count > _MOST_WINDOWS:
        raise ConfigurationError.of("window.too_many", field=field, text=text, count=count)
    found = [_moved(first, text, number * step, zone) for number in range(count + 3)]
    edges = tuple(edge for edge in found if edge < span.end)
    if found[len(edges)] != span.end:
        last = edges[-1].astimezone(zone)
        raise ConfigurationError.of("window.part", field="end_time", text=text, last=last, count=len(edges))
    if field == "baseline_window" and len(edges) < FEWEST_WINDOWS:
        count, least = len(edges), FEWEST_WINDOWS
        raise ConfigurationError.of("baseline_window.few", field=field, text=text, count=count, least=least)
    return edges


def read_zone(name: str, text: str) -> tzinfo:
    """Return a time zone by its IANA name.

    Raises
    ------
    ConfigurationError
        When there is none of that name.
    """
    # Imported late: few jobs name one.
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    problems = (ZoneInfoNotFoundError, ValueError, OSError)
    with ConfigurationError.instead_of("setting.time_zone", *problems, field=name, text=text):
        return UTC if text == "UTC" else ZoneInfo(text)


def parse_instant(text: str) -> datetime | None:
    """Return an ISO 8601 time, UTC when it says nothing else; None when it is none."""
    try:
        instant = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def microseconds(instant: datetime) -> int:
    """Return how long after the beginning of 1970 an instant (timezone-aware) is."""
    return (instant - _FIRST) // timedelta(microseconds=1)


def read_instant(name: str, text: str | None, zone: tzinfo = UTC) -> datetime | None:
    """Return the setting called `name`, an ISO 8601 time, in UTC; None where it is not set.

    Without an offset it is a time of the zone.

    Raises
    ------
    ConfigurationError
        Naming the setting and a valid example, or that the zone's clock shows the time twice or never.
    """
    if text is None:
        return None
    with ConfigurationError.instead_of("setting.instant", ValueError, field=name, text=text):
        instant = datetime.fromisoformat(text.strip())
    if instant.tzinfo:
        return instant.astimezone(UTC)
    first, second = (instant.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    # A day begins when its midnight is first shown, or passed over.
    if first.utcoffset() != second.utcoffset() and instant.time() != time():
        first, second = first.astimezone(UTC), second.astimezone(UTC)
        # Put forward, clocks leave out times; put back, they show them twice.
        told: dict[str, Any] = {"field": name, "text": text, "zone": zone, "first": first}
        if first > second:
            raise ConfigurationError.of("window.skipped", **told)
        raise ConfigurationError.of("window.twice", **told, second=second)
    return first.astimezone(UTC)


def parse_duration(name: str, text: str, example: str) -> timedelta:
    """Read an ISO 8601 duration of weeks, days, hours, minutes and seconds, possibly negative.

    Raises
    ------
    ConfigurationError
        Naming the variable `name` and, as the fix, what was probably meant or `example`.
    """
    stripped = text.strip().upper()
    match = _DURATION.fullmatch(stripped)
    parts = {unit: int(n) for unit, n in match.groupdict().items() if unit != "sign" and n} if match else {}
    if match is None or not parts:
        hint = _fix(stripped, example)
        raise ConfigurationError.of("setting.duration", field=name, text=text, hint=hint)
    duration = timedelta(**parts)
    return -duration if match["sign"] == "-" else duration


def fill_in_start(path: str, window: Window | None, zone: tzinfo = UTC) -> str:
    """Return a path with its ``%Y``, ``%m``, ``%d``, ``%H`` and ``%M`` replaced by the start of the window.

    A job that runs again and again so keeps its reports apart: in UTC, as captures lie in folders of hours,
    unless a time zone is named. An hour that its clock shows twice is ``01-0500`` the second time.

    Raises
    ------
    ConfigurationError
        When there is something to replace but no window, or something else that looks like it.
    """
    if other := _OTHER_FIELD.search(path):
        raise ConfigurationError.of("window.other_field", field="output_path", path=path, sign=other[0])
    found = DATE_FIELD.search(path)
    if found is None:
        return path
    if window is None:
        raise ConfigurationError.of("window.no_start", field="output_path", path=path, sign=found[0])
    start = window.start.astimezone(zone)
    if start.fold:
        path = path.replace("%H", f"%H{start:%z}")
    return DATE_FIELD.sub(lambda field: start.strftime(field[0]).rjust(2, "0"), path)


def folders_of(path: str, windows: Sequence[Window], zone: tzinfo) -> list[str]:
    """Return the folder of each window: what `path` says, else one named by its start below it.

    Raises
    ------
    ConfigurationError
        When the path gives two windows one folder.
    """
    if not DATE_FIELD.search(path):
        is_days = all(_shown(window.start, zone).time() == time() for window in windows)
        path = f"{path.rstrip('/')}/%Y-%m-%d{'' if is_days else 'T%H%MZ'}"
        zone = zone if is_days else UTC
    folders = [fill_in_start(path, window, zone) for window in windows]
    if len(set(folders)) < len(folders):
        raise ConfigurationError.of("window.one_folder", field="output_path", path=path)
    return folders


def folder_hour(path: str) -> datetime | None:
    """Return the hour of the last ``yyyy/mm/dd/hh`` folder in a file's path, None when it has none."""
    return _start(_HOUR_FOLDER.findall(path)[-1:])


def path_span(path: str) -> Window | None:
    """Return the day or hour that a file's path names, None when it names none.

    Folders come first: ``2026/03/02`` and ``2026/03/02/10``, ``year=2026/month=3/day=2/hour=10``,
    ``dt=2026-03-02``; then dates in the name of the file, such as ``log-20260302.csv``.
    """
    for pattern in _DAY_PATHS:
        for found in reversed(pattern.findall(path)):
            if start := _start([found]):
                return Window(start, start + (timedelta(hours=1) if found[3] else timedelta(days=1)))
    return None


def _start(found: list[tuple[str, str, str, str]]) -> datetime | None:
    """Return the time that year, month, day and hour name, None for digits that are no date."""
    try:
        year, month, day, hour = (int(digits or 0) for digits in found[0])
        return datetime(year, month, day, hour, tzinfo=UTC)
    except (IndexError, ValueError):
        return None


def folder_overlaps(path: str, window: Window | None, slack: timedelta = timedelta(0)) -> bool:
    """Return whether a file can hold data of the window, judged by its hour folder alone.

    Files outside hour folders always can. `slack` widens the window on both sides.
    """
    hour = None if window is None else folder_hour(path)
    if window is None or hour is None:
        return True
    return hour < window.end + slack and hour + timedelta(hours=1) > window.start - slack


def in_window_by_folder(path: str, window: Window, what: str = "rows") -> bool:
    """Return whether what a file holds belongs to the window, where only the file's hour folder can say.

    Raises
    ------
    DatasetError
        When the file lies in no such folder: all of it would count, whatever its time.
    """
    if folder_hour(path) is None:
        raise DatasetError.of("window.untimed", file=path, what=what)
    return folder_overlaps(path, window)


def _aligned(now: datetime, duration: str) -> datetime:
    """Round down to the smallest unit that the duration names."""
    units = {"H": timedelta(hours=1), "M": timedelta(minutes=1), "S": timedelta(seconds=1)}
    unit = units.get(duration.strip().upper().partition("T")[2][-1:], timedelta(days=1))
    # A day begins by the clock of its zone; an hour that this shows twice is two hours.
    rest = (now - datetime.min.replace(tzinfo=now.tzinfo)) % unit
    return (now - rest if unit.days else now.astimezone(UTC) - rest).astimezone(UTC)


def _fix(text: str, example: str) -> str:
    if _CALENDAR.match(text):
        return f"years and months have no fixed length, so count days, for example {example}."
    if days := re.fullmatch(r"([+-]?)PT?(\d+)T?([DW])", text):
        return f"days stand before the T: did you mean {days[1]}P{days[2]}{days[3]}?"
    if hours := re.fullmatch(r"([+-]?)P(\d+)([HS])", text):
        return f"hours and seconds stand after a T: did you mean {hours[1]}PT{hours[2]}{hours[3]}?"
    return f"write for example {example}."
