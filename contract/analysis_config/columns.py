"""From what a configuration calls columns to their names in the data."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from contract.analysis_config.json_object import Mistakes
from contract.analysis_config.members import Locator
from contract.wording import several

_SHOWN = 12


@dataclass(frozen=True)
class Columns:
    """The columns of the batches that are read, by their names.

    Parameters
    ----------
    names
        All of them; empty when there is no data to tell them.
    label, predicted_label, probability
        None where there is none.
    label_name
        What files call the label.
    facets
        Names of the columns of a separate facet dataset, which positions of facets then refer to.
    """

    names: tuple[str, ...]
    label: str | None = None
    predicted_label: str | None = None
    probability: str | None = None
    label_name: str = ""
    facets: tuple[str, ...] = ()

    @property
    def has_predictions(self) -> bool:
        """Return whether the data says what the model predicted."""
        return self.predicted_label is not None or self.probability is not None

    @property
    def features(self) -> tuple[str, ...]:
        """Return the columns that are neither label nor prediction."""
        apart = {self.label, self.predicted_label, self.probability}
        return tuple(name for name in self.names if name not in apart)


def find_column(
    locator: Locator, names: Sequence[str], place: str, mistakes: Mistakes, headers: Sequence[str] = ()
) -> str | None:
    """Return the name of the column that a name or zero-based position leads to; note it when none.

    Parameters
    ----------
    locator
        A name; a position, also as text.
    names
        The columns there are; when empty, a name is believed.
    place
        The member or setting, for the message.
    headers
        Other names of the same columns, when there are as many.
    """
    if not names:
        return str(locator)
    if isinstance(locator, str):
        if locator in names:
            return locator
        if locator in headers and len(headers) == len(names):
            return names[headers.index(locator)]
        if not locator.isdecimal():
            mistakes.add(f"{place} is {locator!r}, which is not in the data{_hint(locator, names)}")
            return None
        locator = int(locator)
    if locator < len(names):
        return names[locator]
    mistakes.add(
        f"{place} is {locator}, but the data has {several(len(names), 'column')}, so the last position is "
        f"{len(names) - 1}"
    )
    return None


def _hint(name: str, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(name.casefold(), [known.casefold() for known in names], n=1)
    if close:
        match = next(known for known in names if known.casefold() == close[0])
        return f": did you mean {match}?"
    more = len(names) - _SHOWN
    shown = ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
    return f"; its columns are {shown}"
