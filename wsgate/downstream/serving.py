"""What the client's end asks of whoever answers a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from wsgate.causes import Cause
from wsgate.transport.interfaces import Data
from wsgate.wire.fields import Fields
from wsgate.wire.heads import RequestHead

if TYPE_CHECKING:
    from wsgate.downstream.http_end import HttpEnd


class Serving(Protocol):
    """What answers one request."""

    def begin(self, end: HttpEnd, head: RequestHead) -> None: ...

    def refuse(self, end: HttpEnd, cause: Cause, detail: str) -> None:
        """There is no request, only an answer to give: the head was wrong, too big or too late."""

    def request_body(self, data: Data) -> None: ...

    def request_end(self, trailers: Fields) -> None: ...

    def request_failed(self, cause: Cause, detail: str) -> None:
        """The body is wrong or too slow: answer so if there is no answer yet, else abort."""

    def client_ended(self) -> bool:
        """The client has sent its request and closed its direction: whether the answer goes on all the same."""

    def client_gone(self, cause: Cause) -> None:
        """The client has left before the answer was complete; nothing more can be written."""
