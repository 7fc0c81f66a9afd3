"""What a client is told when its request is refused or failed: one short line from the table of causes.

Nothing of the request is repeated, so that no answer can carry what an attacker wrote.
"""

from __future__ import annotations

from collections.abc import Iterable

from wsgate.causes import Cause
from wsgate.targets.answer import Answer, Headers, text_answer

# Seconds.  Another server or worker may have a free place at once; clients that heed the field are few, and those wait.
RETRY_AFTER = 1


def error_answer(cause: Cause, allow: Iterable[str] = ("GET", "HEAD")) -> Answer:
    """The answer for ``cause``; ``allow`` names the methods that a 405 says are possible (RFC 9110 section 15.5.6).

    A 426 names the version of WebSocket that is spoken here (RFC 6455 section 4.4); RFC 9110 section 15.5.22 also asks
    for Upgrade, whose partner in Connection is the sender's.  Raises ValueError for a cause without an HTTP status.
    """
    row = cause.value
    if not row.status:
        raise ValueError(f"{cause.name} is not told to a client by HTTP")
    headers: Headers = [(b"Cache-Control", b"no-store")]
    if row.status == 405:
        headers.append((b"Allow", ", ".join(allow).encode("ascii")))
    elif row.status == 426:
        headers += [(b"Upgrade", b"websocket"), (b"Sec-WebSocket-Version", b"13")]
    elif row.status in (429, 503):
        headers.append((b"Retry-After", b"%d" % RETRY_AFTER))
    return text_answer(row.status, row.text + "\n", headers)
