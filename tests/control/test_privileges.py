"""The reason of a refusal after root was given up."""

from __future__ import annotations

import pytest

from wsgate.control.privileges import Privileges

DENIED = "cannot listen on 0.0.0.0:80: Permission denied"


@pytest.mark.parametrize(
    ("before", "now", "error", "explained"),
    [
        (0, 65534, DENIED, True),
        (0, 0, DENIED, False),
        (1000, 1000, DENIED, False),
        (0, 65534, "cannot listen on 0.0.0.0:80: Address already in use", False),
    ],
)
def test_the_drop_is_named_where_it_is_the_reason(before: int, now: int, error: str, explained: bool) -> None:
    users = iter([before, now])
    told = Privileges(lambda: next(users, now)).explain(error)
    assert told.startswith(error)
    assert ("given up root" in told) is explained
