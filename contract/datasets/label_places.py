"""Where labels lie in files that are not written as lines of labels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from contract.datasets.human_review import HumanReview

if TYPE_CHECKING:
    from contract.settings import Settings


@dataclass(frozen=True)
class LabelColumns:
    """Which columns of tables hold labels.

    Parameters
    ----------
    identifier
        Of the inference. None takes the first usual name that is there.
    label
        The label. None takes the only other column.
    """

    identifier: str | None = None
    label: str | None = None


@dataclass(frozen=True)
class LabelPlaces:
    """Where answers of human reviewers, and tables, hold labels."""

    review: HumanReview = field(default_factory=HumanReview)
    columns: LabelColumns = field(default_factory=LabelColumns)

    @classmethod
    def of(cls, settings: Settings) -> LabelPlaces:
        """Return what the settings say, defaults where they are None."""
        review = HumanReview.of(settings.human_review_label_attribute, settings.human_review_id_attribute)
        return cls(review, LabelColumns(settings.ground_truth_id_column, settings.ground_truth_label_column))
