"""Schedule expressions: the service's six fields of cron, and the five of everybody else."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import pairwise

from contract.errors import ConfigurationError

_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_MINUTES_PER_DAY = 24 * 60
_DAYS_OF_MONTH = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


@dataclass(frozen=True)
class Cron:
    """When something runs, in UTC: the five fields of cron."""

    minute: str
    hour: str
    day: str
    month: str
    weekday: str

    def __str__(self) -> str:
        return f"{self.minute} {self.hour} {self.day} {self.month} {self.weekday}"

    def later(self, minutes: int) -> Cron:
        """Return the same, `minutes` later, where it runs at one full hour or several; else unchanged."""
        return replace(self, minute=str(minutes)) if self.minute == "0" and minutes < 60 else self


def translate(expression: str) -> Cron | None:
    """Return the five fields of ``cron(...)``, None for ``NOW``: once.

    Raises
    ------
    ConfigurationError
        Naming the field that has no counterpart.
    """
    text = expression.strip()
    if text.upper() == "NOW":
        return None
    match = re.fullmatch(r"cron\((.*)\)", text)
    fields = match[1].split() if match else []
    if len(fields) not in (5, 6):
        raise ConfigurationError(
            f"ScheduleExpression is {expression!r}; it should be NOW or six fields such as cron(0 * ? * * *)."
        )
    minute, hour, day, month, weekday = fields[:5]
    if fields[5:] not in ([], ["*"]):
        raise ConfigurationError(
            f"ScheduleExpression {expression!r} names years, which five fields cannot; write * there."
        )
    for field in (day, weekday):
        if re.search(r"[LW#]", field.upper().replace("WED", "")) and field.upper() not in _DAYS:
            raise ConfigurationError(
                f"ScheduleExpression {expression!r} has {field!r}, which the five fields of cron cannot say; "
                "write the days themselves, for example 1 or MON-FRI."
            )
    return Cron(
        _steps(minute, 59),
        _steps(hour, 23),
        _steps(day.replace("?", "*"), 31),
        _steps(month, 12),
        _weekdays(weekday.replace("?", "*")),
    )


def hours_between(cron: Cron) -> tuple[int, bool]:
    """Return the hours from one run to the next, the most there are, and whether they are always the same."""
    runs = _runs_of_a_year(cron)
    if not runs:
        raise ConfigurationError(f"The schedule {cron} never runs; correct its ScheduleExpression.")
    gaps = [later - earlier for earlier, later in pairwise(runs)]
    longest = max(gaps, default=365 * _MINUTES_PER_DAY)
    return -(-longest // 60), len(set(gaps)) <= 1 and bool(gaps)


def first_run(cron: Cron) -> int:
    """Return the minutes from 1970-01-01T00:00Z, a Thursday, to the first run."""
    return _runs_of_a_year(cron)[0]


def _steps(field: str, last: int) -> str:
    """Write ``5/6`` as cron does: from 5 on, every 6."""
    return ",".join(re.sub(r"^(\d+)/(\d+)$", rf"\1-{last}/\2", part) for part in field.split(","))


def _weekdays(field: str) -> str:
    """Count days from Sunday as 0, not as 1; names stay."""
    values, _, step = field.partition("/")
    shifted = re.sub(r"\d+", lambda day: str((int(day[0]) - 1) % 7), values)
    if re.fullmatch(r"\d", shifted) and step:
        shifted += "-6"
    return shifted + (f"/{step}" if step else "")


def _runs_of_a_year(cron: Cron) -> list[int]:
    minutes = sorted(_values(cron.minute, 0, 59))
    hours = sorted(_values(cron.hour, 0, 23))
    months = _values(cron.month, 1, 12)
    days = _values(cron.day, 1, 31)
    weekdays = {day % 7 for day in _values(cron.weekday, 0, 7)}
    runs = []
    day_of_year = 0
    for month, length in enumerate(_DAYS_OF_MONTH, start=1):
        for day in range(1, length + 1):
            weekday = (4 + day_of_year) % 7
            if month in months and day in days and weekday in weekdays:
                midnight = day_of_year * _MINUTES_PER_DAY
                runs += [midnight + hour * 60 + minute for hour in hours for minute in minutes]
            day_of_year += 1
    return runs


def _values(field: str, first: int, last: int) -> set[int]:
    values: set[int] = set()
    for part in field.upper().split(","):
        span, _, step = part.partition("/")
        start, _, end = ("", "", "") if span == "*" else span.partition("-")
        try:
            low = _number(start) if start else first
            high = _number(end) if end else low if start else last
            values.update(range(low, high + 1, int(step or 1)))
        except ValueError:
            raise ConfigurationError(
                f"The schedule has the field {field!r}, which cron does not know."
            ) from None
    return values


def _number(text: str) -> int:
    months = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
    if text in _DAYS:
        return _DAYS.index(text)
    return months.index(text) + 1 if text in months else int(text)
