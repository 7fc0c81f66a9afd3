"""The codes and reasons of a WebSocket Close frame (RFC 6455 sections 5.5.1 and 7.4, and the IANA registry)."""

from __future__ import annotations

from typing import Final

from wsgate.errors import WsgateError

NO_CODE: Final = 1005
"""What an empty Close payload means; it never stands on the wire itself."""

MAX_REASON: Final = 123
"""Bytes of UTF-8 that fit beside the code in a control frame's 125."""

_NAMES: Final = {
    1000: "normal closure",
    1001: "going away",
    1002: "protocol error",
    1003: "unsupported data",
    1004: "reserved",
    1005: "no code",
    1006: "abnormal closure",
    1007: "invalid payload",
    1008: "policy violation",
    1009: "message too big",
    1010: "missing extension",
    1011: "internal error",
    1012: "service restart",
    1013: "try again later",
    1014: "bad gateway",
    1015: "TLS handshake failed",
    3000: "unauthorized",
    3003: "forbidden",
    3008: "timeout",
}

# Registered, but only for what an API tells its own application: such a frame is never sent (RFC 6455 section 7.4.1).
_NEVER_SENT: Final = frozenset({1004, 1005, 1006, 1015})
_SENDABLE: Final = frozenset(code for code in _NAMES if code < 3000) - _NEVER_SENT


class FrameError(WsgateError):
    """A peer broke a rule of the WebSocket protocol, or passed a limit of the route.

    ``code`` is the Close code that names the fault to the peer that made it: 1002, 1007, 1008 or 1009.  ``text`` is
    for the log and for the reason of that Close.  ``sound`` holds the bytes that came before the fault in the same
    chunk and may still be forwarded; it is empty where nothing was scanned.
    """

    def __init__(self, code: int, text: str, sound: bytes = b"") -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.sound = sound


def is_sendable(code: int) -> bool:
    """Whether ``code`` may stand in a Close frame: 1000 to 1003, 1007 to 1014 and 3000 to 4999."""
    return code in _SENDABLE or 3000 <= code <= 4999


def close_name(code: int) -> str:
    """Return a few words for ``code``, for logs; any number has an answer."""
    name = _NAMES.get(code)
    if name is not None:
        return name
    if 3000 <= code <= 3999:
        return "registered code"
    if 4000 <= code <= 4999:
        return "private code"
    return "unknown code"


def close_payload(code: int, reason: str = "") -> bytes:
    """Return the payload of a Close frame, at most 125 bytes; ``reason`` is cut between two characters to fit.

    ``NO_CODE`` gives the empty payload, so that what `parse_close` read can be sent on; a reason is then dropped.
    What UTF-8 cannot hold (a lone surrogate) becomes a question mark.  Raises ValueError where `is_sendable` says no.
    """
    if code == NO_CODE:
        return b""
    if not is_sendable(code):
        raise ValueError(f"Close code {code} must not be sent")
    text = reason.encode("utf-8", "replace")
    if len(text) > MAX_REASON:
        text = text[:MAX_REASON].decode("utf-8", "ignore").encode()
    return code.to_bytes(2, "big") + text


def parse_close(payload: bytes) -> tuple[int, str]:
    """Return the code and the reason of a Close frame's unmasked payload, ``(NO_CODE, "")`` where it is empty.

    Raises FrameError: 1002 for a payload of one byte or a code that must not be sent, 1007 for a reason that is not
    UTF-8.
    """
    if not payload:
        return NO_CODE, ""
    if len(payload) == 1:
        raise FrameError(1002, "Close payload of one byte")
    code = int.from_bytes(payload[:2], "big")
    if not is_sendable(code):
        raise FrameError(1002, f"Close code {code} must not be sent")
    try:
        return code, payload[2:].decode()
    except UnicodeDecodeError:
        raise FrameError(1007, "Close reason is not UTF-8") from None
