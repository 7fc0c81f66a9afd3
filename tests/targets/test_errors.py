"""What a client is told when something went wrong."""

from __future__ import annotations

import pytest

from tests.targets.reading import read
from wsgate.causes import Cause
from wsgate.targets.errors import error_answer

TOLD = [cause for cause in Cause if cause.status]
UNTOLD = [cause for cause in Cause if not cause.status]


@pytest.mark.parametrize("cause", TOLD)
def test_every_cause_with_a_status_is_told_in_one_plain_line(cause: Cause) -> None:
    reply = read(error_answer(cause))
    assert reply.status == cause.status
    assert reply.body == f"{cause.value.text}\n".encode("ascii")
    assert reply.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert reply.headers["Cache-Control"] == "no-store"
    assert not {"Connection", "Date", "Server"} & set(reply.headers)


@pytest.mark.parametrize("cause", UNTOLD)
def test_a_cause_without_a_status_has_no_answer(cause: Cause) -> None:
    with pytest.raises(ValueError, match="not told"):
        error_answer(cause)


def test_some_statuses_say_what_would_be_right() -> None:
    assert read(error_answer(Cause.METHOD)).headers["Allow"] == "GET, HEAD"
    assert read(error_answer(Cause.METHOD, allow=("POST", "PUT"))).headers["Allow"] == "POST, PUT"
    upgrade = read(error_answer(Cause.UPGRADE_REQUIRED)).headers
    assert (upgrade["Sec-WebSocket-Version"], upgrade["Upgrade"]) == ("13", "websocket")


@pytest.mark.parametrize("cause", TOLD)
def test_only_what_passes_by_itself_is_worth_trying_again(cause: Cause) -> None:
    assert (read(error_answer(cause)).headers.get("Retry-After") == "1") == (cause.status in (429, 503))


def test_changing_one_answer_changes_no_other() -> None:
    error_answer(Cause.NO_ROUTE).headers.append((b"Connection", b"close"))
    assert b"Connection" not in dict(error_answer(Cause.NO_ROUTE).headers)
