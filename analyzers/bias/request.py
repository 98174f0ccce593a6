"""What to measure: which column is the label, which rows form a facet, which metrics are asked for."""

from __future__ import annotations

from dataclasses import dataclass

from analyzers.shared.cells import Value

ALL_PRE = ("CDDL", "CI", "DPL", "JS", "KL", "KS", "LP", "TVD")
ALL_POST = ("AD", "CDDPL", "DAR", "DCA", "DCR", "DI", "DPPL", "DRR", "FT", "GE", "RD", "SD", "TE")


@dataclass(frozen=True)
class FacetRequest:
    """One way to tell groups apart.

    Parameters
    ----------
    columns
        Names of the columns; several form the intersection of their groups.
    values
        What selects the sensitive rows (facet d). For one column: the values, any of which selects, or a
        threshold. For several columns: tuples with one value per column, any of which selects. Empty:
        every distinct value, or every combination seen, in turn.
    """

    columns: tuple[str, ...]
    values: tuple[Value, ...] | tuple[tuple[Value, ...], ...] = ()


@dataclass(frozen=True)
class BiasRequest:
    """Everything a bias analysis needs to know of the data, by names of columns.

    Parameters
    ----------
    label
        Column of observed labels.
    label_values
        The positive labels, or a threshold above which a label is positive.
    facets
        The groups to compare with the rest.
    group_variable
        Column of the strata of CDDL and CDDPL.
    predicted_label
        Column of predictions, read as labels are.
    probability
        Column of scores, used when there is no `predicted_label`.
    probability_threshold
        A score above it, exclusive, is a positive prediction.
    pre_training, post_training
        Names of the metrics asked for; None when the stage is not asked for. Post-training metrics need
        `predicted_label` or `probability`.
    label_name
        The label's name in ``analysis.json``; that of its column when empty.
    features
        The columns that make rows neighbours in the flip test; None takes all but the facet, the label and
        the prediction.
    cluster_by
        Columns that tell which rows belong together.
    """

    label: str
    label_values: tuple[Value, ...]
    facets: tuple[FacetRequest, ...]
    group_variable: str | None = None
    predicted_label: str | None = None
    probability: str | None = None
    probability_threshold: float = 0.5
    pre_training: tuple[str, ...] | None = ALL_PRE
    post_training: tuple[str, ...] | None = ALL_POST
    label_name: str = ""
    features: tuple[str, ...] | None = None
    cluster_by: tuple[str, ...] = ()
