"""permessage-deflate towards clients (RFC 7692): what is agreed to, and inflating within bounds.

autobahn negotiates and calls zlib.  Here it is told what to agree to, which offers it may see, and how much a message
may inflate to; each of the three is a way in which a client could otherwise spend the gateway's memory.
"""

from __future__ import annotations

import zlib
from typing import Any, Self

from autobahn.exception import PayloadCorruptError, PayloadExceededError
from autobahn.websocket.compress import PerMessageDeflateOffer, PerMessageDeflateOfferAccept
from autobahn.websocket.compress_deflate import PerMessageDeflate

NAME = b"permessage-deflate"

# autobahn has types for a part of what it offers.
_Offer: Any = PerMessageDeflateOffer
_Accept: Any = PerMessageDeflateOfferAccept

#: Our window and the one that is asked of the client, as exponents of 2, and zlib's memory level.  With the greatest
#: ones a connection that has spoken holds 300 KiB in zlib, with these 45; text gets a few percent longer.
WINDOW_BITS = 12
MEMORY_LEVEL = 5

# What may follow a block that says it is the last: the empty block behind it (RFC 7692 section 7.2.3.4).
_AFTER_LAST_BLOCK = (b"", b"\0")


def sound_offers(extensions: bytes) -> bytes:
    """The offers of permessage-deflate in a checked Sec-WebSocket-Extensions that can be agreed to.

    An offer with parameters that are wrong or unknown is to be declined (RFC 7692 section 5.1); autobahn would refuse
    the whole handshake.  Other extensions are left out, so that autobahn agrees to nothing else.
    """
    return b", ".join(offer for item in extensions.split(b",") if _is_sound(offer := item.strip(b" \t")))


def _is_sound(offer: bytes) -> bool:
    name, *rest = [part.strip(b" \t") for part in offer.split(b";")]
    if name.lower() != NAME:
        return False
    parameters: dict[str, list[Any]] = {}
    for part in rest:
        key, equals, value = part.decode("ascii").partition("=")
        value = value.strip(' \t"')
        if equals and not (value.isdecimal() and value[0] != "0"):
            return False
        parameters.setdefault(key.rstrip(" \t").lower(), []).append(value if equals else True)
    try:
        _Offer.parse(parameters)
    except Exception:  # autobahn raises no class of its own
        return False
    return True


def accept_first(offers: list[Any]) -> Any:
    """What autobahn asks: how to agree to the client's offers, the one that it likes best first."""
    for offer in offers:
        if isinstance(offer, PerMessageDeflateOffer):
            return _Accept(
                offer,
                request_max_window_bits=WINDOW_BITS if offer.accept_max_window_bits else 0,
                window_bits=min(WINDOW_BITS, offer.request_max_window_bits or WINDOW_BITS),
                mem_level=MEMORY_LEVEL,
            )
    return None


class BoundedDeflate(PerMessageDeflate):
    """autobahn's permessage-deflate that stays within its bounds whatever the client sends.

    A deflate stream may say that it is at its end; zlib then keeps all further input as unused, for ever, where the
    context is taken over from message to message.  Here the next message begins a new stream.
    """

    _decompressor: Any

    @classmethod
    def instead_of(cls, agreed: PerMessageDeflate) -> Self:
        """One with the parameters of ``agreed``, which has not been used yet."""
        return cls(
            True,
            agreed.server_no_context_takeover,
            agreed.client_no_context_takeover,
            agreed.server_max_window_bits,
            agreed.client_max_window_bits,
            agreed.mem_level,
        )

    def inflate(self, data: bytes, room: int | None) -> bytes:
        """What ``data`` inflates to, at most ``room`` bytes; None is no limit.

        Raises PayloadExceededError where there is more, without having inflated it, and PayloadCorruptError.
        """
        stream = self._decompressor
        try:
            # One byte more than allowed: at the very limit zlib leaves the end of the input unread.
            plain: bytes = stream.decompress(data, 0 if room is None else room + 1)
        except zlib.error as error:
            raise PayloadCorruptError(str(error)) from None
        if room is not None and len(plain) > room:
            raise PayloadExceededError("more than the limit")
        if stream.eof and stream.unused_data not in _AFTER_LAST_BLOCK:
            raise PayloadCorruptError("data behind the last block")
        return plain

    def end_decompress_message(self) -> None:
        super().end_decompress_message()  # type: ignore[no-untyped-call]
        if self._decompressor.eof:
            self._decompressor = None
