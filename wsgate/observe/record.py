"""The facts of one ended connection or request, from which the access log's line is made."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a record is about: a Layer 4 connection, an HTTP request, or a request to open a WebSocket."""

    TCP = "tcp"
    HTTP = "http"
    WEBSOCKET = "websocket"


@dataclass(slots=True)
class AccessRecord:
    """One connection or request; an empty string or None is a fact that is not known or does not apply.

    ``in`` counts what came from the client, ``out`` what went to it.  Times and durations are seconds, sizes are
    bytes on the wire above TLS.  Text that came from a peer is given as it came (bytes decoded as latin-1): redaction
    and escaping are the formatter's work.  There is no field for Authorization, Cookie or payload, on purpose.
    """

    kind: Kind
    time: float  # seconds since the epoch, when it ended
    duration: float = 0.0
    request_id: str = ""
    listener: str = ""
    client: str = ""  # IP address without a port, or "unix"
    client_port: int | None = None

    tls_version: str = ""
    tls_cipher: str = ""
    tls_name: str = ""  # the name asked for (SNI)
    tls_resumed: bool | None = None

    method: str = ""
    host: str = ""
    path: str = ""  # as sent, without the query
    query: str = ""  # without the question mark
    version: str = ""  # "1.0" or "1.1"
    status: int | None = None  # what the client was answered; None: nothing
    origin: str = ""
    referer: str = ""
    user_agent: str = ""

    route: str = ""
    upstream: str = ""
    server: str = ""  # address of the last server tried
    tries: int | None = None  # servers dialled
    connect_time: float | None = None  # from the search for a server until its connection stood, all tries included
    answer_time: float | None = None  # from the same moment until the head of the server's answer

    relay: str = ""  # "frames", "messages", "tunnel"
    subprotocol: str = ""
    close_code: int | None = None  # RFC 6455 section 7.4, of the first Close
    close_reason: str = ""
    rtt_client: float | None = None  # of the last answered ping
    rtt_server: float | None = None
    frames_in: int = 0
    frames_out: int = 0
    messages_in: int = 0
    messages_out: int = 0

    bytes_in: int = 0
    bytes_out: int = 0
    cause: str = ""  # label of a row of the table of causes
    closed_by: str = ""  # "client", "server" or "gateway"
    detail: str = ""  # what exactly was wrong, in words
