"""One table of causes: why a connection ended or a request was refused, and what each side is told.

A cause has a side (who made it happen).  The table maps it to the HTTP status (where the client still waits for an
answer), the Close codes sent to the client and to the server (RFC 6455 section 7.4.1, registry codes 1012 to 1014;
0 sends no Close frame), the level of the log and the label of the metric.
"""

from __future__ import annotations

from enum import Enum
from functools import cached_property
from typing import NamedTuple


class Side(Enum):
    """Who made a connection end."""

    CLIENT = "client"
    SERVER = "server"
    GATEWAY = "gateway"


class Level(Enum):
    """How loudly the end of a connection is logged outside of the access log."""

    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"


class Answer(NamedTuple):
    """What the table says about one cause."""

    label: str
    side: Side
    status: int
    to_client: int
    to_server: int
    level: Level
    text: str


_C, _S, _G = Side.CLIENT, Side.SERVER, Side.GATEWAY
_DEBUG, _INFO, _WARN = Level.DEBUG, Level.INFO, Level.WARN


class Cause(Enum):
    """Why something ended; the value is its row of the table."""

    # The end that everybody wanted.
    DONE = Answer("done", _G, 0, 0, 0, _DEBUG, "finished")
    CLIENT_CLOSED = Answer("client_closed", _C, 0, 0, 0, _DEBUG, "the client closed")
    SERVER_CLOSED = Answer("server_closed", _S, 0, 0, 0, _DEBUG, "the server closed")
    # A leg went away without a goodbye.
    CLIENT_LOST = Answer("client_lost", _C, 0, 0, 1001, _DEBUG, "the client's connection was lost")
    SERVER_LOST = Answer("server_lost", _S, 502, 1011, 0, _INFO, "the server's connection was lost")
    CLIENT_DEAD = Answer("client_dead", _C, 0, 1011, 1001, _INFO, "the client answered no ping")
    SERVER_DEAD = Answer("server_dead", _S, 0, 1011, 1011, _WARN, "the server answered no ping")
    CLIENT_STUCK = Answer("client_stuck", _C, 0, 1008, 1001, _INFO, "the client reads too slowly")
    SERVER_STUCK = Answer("server_stuck", _S, 504, 1011, 1008, _WARN, "the server reads too slowly")
    # Requests that are refused before a server is asked.
    BAD_REQUEST = Answer("bad_request", _C, 400, 0, 0, _DEBUG, "bad request")
    FORBIDDEN = Answer("forbidden", _C, 403, 0, 0, _INFO, "forbidden")
    ORIGIN = Answer("origin", _C, 403, 0, 0, _INFO, "origin not allowed")
    NO_ROUTE = Answer("no_route", _C, 404, 0, 0, _DEBUG, "not found")
    METHOD = Answer("method", _C, 405, 0, 0, _DEBUG, "method not allowed")
    HEAD_TIMEOUT = Answer("head_timeout", _C, 408, 0, 0, _DEBUG, "the request took too long")
    BODY_TIMEOUT = Answer("body_timeout", _C, 408, 0, 0, _DEBUG, "the request body took too long")
    BODY_SIZE = Answer("body_size", _C, 413, 0, 0, _DEBUG, "request body too large")
    RANGE = Answer("range", _C, 416, 0, 0, _DEBUG, "range not satisfiable")
    EXPECTATION = Answer("expectation", _C, 417, 0, 0, _DEBUG, "expectation failed")
    MISDIRECTED = Answer("misdirected", _C, 421, 0, 0, _DEBUG, "misdirected request")
    UPGRADE_REQUIRED = Answer("upgrade_required", _C, 426, 0, 0, _DEBUG, "WebSocket version 13 required")
    RATE = Answer("rate", _C, 429, 1008, 1008, _INFO, "too many requests")
    HEAD_SIZE = Answer("head_size", _C, 431, 0, 0, _DEBUG, "request head too large")
    NOT_IMPLEMENTED = Answer("not_implemented", _C, 501, 0, 0, _DEBUG, "not implemented")
    VERSION = Answer("version", _C, 505, 0, 0, _DEBUG, "HTTP version not supported")
    TLS_FAILED = Answer("tls_failed", _C, 0, 0, 0, _DEBUG, "TLS handshake failed")
    PROXY_HEADER = Answer("proxy_header", _C, 0, 0, 0, _INFO, "no right PROXY header")
    TLS_TIMEOUT = Answer("tls_timeout", _C, 0, 0, 0, _DEBUG, "TLS handshake took too long")
    IDLE = Answer("idle", _G, 408, 1001, 1001, _DEBUG, "idle for too long")
    # Servers that do not answer as they should.
    NO_SERVER = Answer("no_server", _G, 503, 1013, 0, _WARN, "no server available")
    EXHAUSTED = Answer("exhausted", _G, 503, 0, 0, _WARN, "the gateway has no sockets or ports left")
    HELD_TOO_LONG = Answer("held_too_long", _S, 0, 1012, 0, _WARN, "the server did not come back")
    CONNECT_FAILED = Answer("connect_failed", _S, 502, 0, 0, _WARN, "no server could be reached")
    CONNECT_TIMEOUT = Answer("connect_timeout", _S, 504, 0, 0, _WARN, "connecting to a server took too long")
    BAD_ANSWER = Answer("bad_answer", _S, 502, 0, 0, _WARN, "the server's answer was not valid")
    ANSWER_TIMEOUT = Answer("answer_timeout", _S, 504, 0, 0, _WARN, "the server's answer took too long")
    SERVER_REFUSED = Answer("server_refused", _S, 0, 0, 0, _DEBUG, "the server refused the upgrade")
    # WebSocket violations and limits, by the leg that made them.
    CLIENT_PROTOCOL = Answer("client_protocol", _C, 0, 1002, 1001, _INFO, "the client broke the WebSocket protocol")
    SERVER_PROTOCOL = Answer("server_protocol", _S, 0, 1011, 1002, _WARN, "the server broke the WebSocket protocol")
    CLIENT_PAYLOAD = Answer("client_payload", _C, 0, 1007, 1001, _INFO, "the client sent text that is not UTF-8")
    SERVER_PAYLOAD = Answer("server_payload", _S, 0, 1011, 1007, _WARN, "the server sent text that is not UTF-8")
    CLIENT_TOO_BIG = Answer("client_too_big", _C, 0, 1009, 1001, _INFO, "the client's message is too big")
    SERVER_TOO_BIG = Answer("server_too_big", _S, 0, 1011, 1009, _WARN, "the server's message is too big")
    CLIENT_LIMIT = Answer("client_limit", _C, 0, 1008, 1001, _INFO, "the client passed a limit")
    SERVER_LIMIT = Answer("server_limit", _S, 0, 1011, 1008, _WARN, "the server passed a limit")
    POLICY = Answer("policy", _G, 403, 1008, 1001, _INFO, "closed by policy")
    # The operator's and the gateway's own reasons.
    STOPPING = Answer("stopping", _G, 503, 1001, 1001, _DEBUG, "the gateway stops")
    DRAINED = Answer("drained", _G, 503, 1012, 1001, _DEBUG, "drained")
    REBALANCED = Answer("rebalanced", _G, 0, 1012, 1001, _DEBUG, "moved to another server")
    MAX_AGE = Answer("max_age", _G, 0, 1012, 1001, _DEBUG, "the connection reached its age")
    KICKED = Answer("kicked", _G, 0, 1008, 1001, _INFO, "closed by the operator")
    MEMORY = Answer("memory", _G, 503, 1013, 1001, _DEBUG, "the gateway is short of memory")
    FULL = Answer("full", _G, 503, 0, 0, _WARN, "too many connections")
    INTERNAL = Answer("internal", _G, 500, 1011, 1011, _WARN, "internal error")

    @cached_property
    def label(self) -> str:
        """The metric label and the word in the access log."""
        return self.value.label

    @property
    def status(self) -> int:
        """The HTTP status for a client that still waits for an answer; 0 where there is none to give."""
        return self.value.status
