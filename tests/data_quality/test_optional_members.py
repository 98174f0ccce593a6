"""A member that few records have may be absent from a window; one that should be there may not."""

import pytest

from analyzers.data_quality.columns import _may_be_absent


@pytest.mark.parametrize(
    ("completeness", "rows", "expected"),
    [
        (0.02, 50, True),
        (0.02, 5000, False),
        (1.0, 1, False),
        (None, 1, False),
        (0.0, 10**6, True),
        (0.5, 12, False),
    ],
)
def test_a_member_may_be_absent_where_chance_allows_it(completeness, rows, expected):
    assert _may_be_absent(completeness, rows) == expected
