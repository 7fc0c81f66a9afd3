from __future__ import annotations

import pytest

from tests.apps.visitors import visit
from wsgate.apps.echo import Echo


@pytest.mark.parametrize(("payload", "binary"), [(b"hello", False), (b"", False), (b"\x00\xff", True)])
def test_a_message_comes_back_as_it_is(payload: bytes, binary: bool) -> None:
    app = Echo()
    visitor = visit(app)
    assert visitor.sent == []
    app.received(visitor, payload, binary)
    app.closed(visitor)
    assert visitor.sent == [(payload, binary)]


def test_any_subprotocol_is_spoken() -> None:
    assert Echo.subprotocols == ("*",)
