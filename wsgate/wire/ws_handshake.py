"""The opening handshake of WebSocket in both directions (RFC 6455 sections 4.1 and 4.2).

A connection becomes a WebSocket only where both heads say so without a doubt: a proxy that tunnels on the wish alone,
or on the status alone, lets its clients speak to servers past every route.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Callable
from functools import lru_cache
from hashlib import sha1
from typing import NamedTuple

from wsgate.causes import Cause
from wsgate.wire.fields import TOKEN, Fields, HeadError, tokens
from wsgate.wire.framing import NO_BODY
from wsgate.wire.heads import Index, RequestHead, ResponseHead

MAX_EXTENSIONS = 1024
"""Bytes of all Sec-WebSocket-Extensions together; what browsers send has 60."""

DEFLATE = b"permessage-deflate"

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
# 16 bytes in base64: the last sign before the padding has only two bits of them.
_KEY = re.compile(rb"[A-Za-z0-9+/]{21}[AQgw]==")
_TOKEN = re.compile(TOKEN)
_PARAMETER = rb"[ \t]*;[ \t]*" + TOKEN + rb"(?:[ \t]*=[ \t]*(?:" + TOKEN + rb'|"' + TOKEN + rb'"))?'
_EXTENSION = TOKEN + rb"(?:" + _PARAMETER + rb")*"
_EXTENSIONS = re.compile(_EXTENSION + rb"(?:[ \t]*,[ \t]*" + _EXTENSION + rb")*")


class Upgrade(NamedTuple):
    """What one side asks of the other: the client of us, and we of the server.

    ``key`` as in Sec-WebSocket-Key; ``protocols`` in the order of preference; ``extensions`` one list, or empty.
    """

    key: bytes
    protocols: tuple[bytes, ...]
    extensions: bytes


class Agreed(NamedTuple):
    """What a server's 101 settles: the subprotocol, if any, and the extensions (empty: none)."""

    protocol: bytes | None
    extensions: bytes


def check_upgrade(head: RequestHead) -> Upgrade:
    """What ``head`` asks for, if it is a right WebSocket handshake.

    Raises HeadError: METHOD unless GET, UPGRADE_REQUIRED for a version other than 13, else BAD_REQUEST.
    """
    if head.method != b"GET":
        raise HeadError(Cause.METHOD, "a WebSocket handshake is a GET")
    if head.minor != 1 or head.framing is not NO_BODY:
        raise HeadError(Cause.BAD_REQUEST, "a WebSocket handshake is HTTP/1.1 without a body")
    index = head.index
    first, repeated = index.first, index.repeated
    _check_switch(index, Cause.BAD_REQUEST)
    if b"sec-websocket-version" in repeated:
        raise HeadError(Cause.BAD_REQUEST, "more than one Sec-WebSocket-Version")
    if first.get(b"sec-websocket-version") != b"13":
        raise HeadError(Cause.UPGRADE_REQUIRED, "the WebSocket version is not 13")
    key = first.get(b"sec-websocket-key", b"")
    if b"sec-websocket-key" in repeated or _KEY.fullmatch(key) is None:
        raise HeadError(Cause.BAD_REQUEST, "Sec-WebSocket-Key is not one key of 16 bytes")
    if b"origin" in index.repeated:
        # A request has one at most (RFC 6454 section 7.3): it is malformed whatever they are, not of a wrong origin.
        raise HeadError(Cause.BAD_REQUEST, "more than one Origin")
    return Upgrade(
        key,
        _offered_protocols(index.all(b"sec-websocket-protocol")) if b"sec-websocket-protocol" in first else (),
        _extensions(index, Cause.BAD_REQUEST),
    )


def _check_switch(index: Index, bad: Cause) -> None:
    """One Upgrade that says websocket and nothing else, and a Connection that names it."""
    if b"upgrade" in index.repeated or index.first.get(b"upgrade", b"").lower() != b"websocket":
        raise HeadError(bad, "Upgrade is not one websocket")
    if b"upgrade" not in tokens(index.all(b"connection")):
        raise HeadError(bad, "Connection does not say upgrade")


def _offered_protocols(values: list[bytes]) -> tuple[bytes, ...]:
    protocols = tuple([item.strip(b" \t") for item in b",".join(values).split(b",")])
    if not all(map(_TOKEN.fullmatch, protocols)) or len(set(protocols)) != len(protocols):
        raise HeadError(Cause.BAD_REQUEST, "Sec-WebSocket-Protocol is not a list of different tokens")
    return protocols


def _extensions(index: Index, bad: Cause) -> bytes:
    """All Sec-WebSocket-Extensions as one list (RFC 6455 section 9.1)."""
    if b"sec-websocket-extensions" not in index.first:
        return b""
    extensions = b", ".join(index.all(b"sec-websocket-extensions"))
    if len(extensions) > MAX_EXTENSIONS or _EXTENSIONS.fullmatch(extensions) is None:
        raise HeadError(bad, "Sec-WebSocket-Extensions is not valid")
    return extensions


def _extension_names(extensions: bytes) -> list[bytes]:
    """The names in a checked list, in lower case; values in quotes are tokens, so that no comma hides in them."""
    if not extensions:
        return []
    return [item.partition(b";")[0].strip(b" \t").lower() for item in extensions.split(b",")]


def only_deflate(extensions: bytes) -> bytes:
    """What a checked list offers of permessage-deflate, the only extension whose frames can be told from faults."""
    names = _extension_names(extensions)
    members = zip(names, extensions.split(b","), strict=False)
    return b", ".join([member.strip(b" \t") for name, member in members if name == DEFLATE])


def is_deflated(extensions: bytes) -> bool:
    """Whether permessage-deflate (RFC 7692) is in a checked list that was agreed."""
    return bool(extensions) and DEFLATE in _extension_names(extensions)


@lru_cache(maxsize=16)  # asked twice within one turn: for the server's answer, and for ours
def accept_for(key: bytes) -> bytes:
    """The Sec-WebSocket-Accept that answers ``key`` (RFC 6455 section 4.2.2)."""
    return b2a_base64(sha1(key + _GUID, usedforsecurity=False).digest(), newline=False)


def new_key(random: Callable[[int], bytes]) -> bytes:
    """A fresh Sec-WebSocket-Key; ``random(n)`` gives n unpredictable bytes."""
    return b2a_base64(random(16), newline=False)


def upgrade_fields(fields: Fields, offer: Upgrade) -> Fields:
    """The fields to send to a server: the client's ``fields`` that go end to end, and the handshake for ``offer``.

    ``offer`` is the client's wish with what this leg changes: a key of its own, or no extensions.
    """
    handshake = [
        (b"Upgrade", b"websocket"),
        (b"Connection", b"Upgrade"),
        (b"Sec-WebSocket-Version", b"13"),
        (b"Sec-WebSocket-Key", offer.key),
    ]
    if offer.protocols:
        handshake.append((b"Sec-WebSocket-Protocol", b", ".join(offer.protocols)))
    if offer.extensions:
        handshake.append((b"Sec-WebSocket-Extensions", offer.extensions))
    return fields + handshake


def check_answer(answer: ResponseHead, offer: Upgrade) -> Agreed:
    """What the server's 101 settles of ``offer``, the one that it was sent; raises HeadError (BAD_ANSWER).

    An answer that is not 101 is no WebSocket whatever its fields say: it goes back to the client as it is.
    """
    if answer.status != 101 or answer.minor != 1:
        raise HeadError(Cause.BAD_ANSWER, "the answer is not a 101 of HTTP/1.1")
    index = answer.index
    first, repeated = index.first, index.repeated
    _check_switch(index, Cause.BAD_ANSWER)
    accept = b"sec-websocket-accept"
    if accept in repeated or first.get(accept) != accept_for(offer.key):
        raise HeadError(Cause.BAD_ANSWER, "Sec-WebSocket-Accept does not answer the key")
    protocol = first.get(b"sec-websocket-protocol")
    if protocol is not None and (b"sec-websocket-protocol" in repeated or protocol not in offer.protocols):
        raise HeadError(Cause.BAD_ANSWER, "a subprotocol that was not offered")
    extensions = _extensions(index, Cause.BAD_ANSWER)
    if extensions:
        names = _extension_names(extensions)
        if not set(names).issubset(_extension_names(offer.extensions)) or len(set(names)) != len(names):
            raise HeadError(Cause.BAD_ANSWER, "an extension that was not offered, or one twice")
    return Agreed(protocol, extensions)


def client_answer_fields(answer: ResponseHead, agreed: Agreed, key: bytes) -> Fields:
    """The fields of the 101 to the client, whose ``key`` it answers: the handshake, and what the server set besides.

    A 101 has no body, so what a server says of one is left out (RFC 9110 section 8.6).
    """
    handshake = [
        (b"Upgrade", b"websocket"),
        (b"Connection", b"Upgrade"),
        (b"Sec-WebSocket-Accept", accept_for(key)),
    ]
    if agreed.protocol is not None:
        handshake.append((b"Sec-WebSocket-Protocol", agreed.protocol))
    if agreed.extensions:
        handshake.append((b"Sec-WebSocket-Extensions", agreed.extensions))
    return handshake + [
        field for field in answer.onward if field[0].lower() not in (b"content-length", b"sec-websocket-version")
    ]
