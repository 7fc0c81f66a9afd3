"""JSON text messages: an object with a ``type``, checked field by field.

What a visitor sends wrong is answered with ``{"type": "error", "text": "what would be right"}`` and changes nothing.
No answer repeats unchecked input.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Mapping

from wsgate.apps.visitor import Visitor
from wsgate.errors import WsgateError

Message = Mapping[str, object]
Command = Callable[[Visitor, Message], None]

# Unseen characters can make a name look like another or turn a line around; these two only join letters and emoji.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_JOINERS = "\u200c\u200d"


class BadMessage(WsgateError):
    """A visitor's message is not as documented; the text says what would be right."""


def encode(kind: str, **fields: object) -> bytes:
    """The JSON text of a message of type ``kind``."""
    return json.dumps({"type": kind, **fields}, ensure_ascii=False, separators=(",", ":")).encode()


def decode(payload: bytes, binary: bool) -> Message:
    """Read a message; :class:`BadMessage` unless it is the text of a JSON object with a ``type``."""
    if binary:
        raise BadMessage("send text, not binary")
    try:
        message = json.loads(payload, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise BadMessage('send a JSON object such as {"type": "..."}') from None
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise BadMessage('send a JSON object such as {"type": "..."}')
    return message


def _no_constant(name: str) -> object:
    """NaN and Infinity are Python's, not JSON's (RFC 8259 section 6)."""
    raise ValueError(name)


def integer(message: Message, name: str, low: int, high: int, default: int | None = None) -> int:
    """The whole number ``name`` of a message, from ``low`` to ``high``; ``default`` where it is left out."""
    value = message.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise BadMessage(f"{name} must be a whole number from {low} to {high}")
    return value


def text(message: Message, name: str, longest: int, default: str | None = None) -> str:
    """The text ``name`` of a message, 1 to ``longest`` characters; ``default`` where it is left out.

    White space becomes single spaces; control, format and surrogate characters are left out.
    """
    value = message.get(name, default)
    if isinstance(value, str) and len(value) <= 4 * longest:
        value = " ".join(value.split())
        value = "".join(c for c in value if c in _JOINERS or unicodedata.category(c) not in _UNSEEN).strip()
        if value.strip(_JOINERS) and len(value) <= longest:
            return value
    raise BadMessage(f"{name} must be text of 1 to {longest} characters")


def choices(message: Message, name: str, known: tuple[str, ...]) -> tuple[str, ...]:
    """The list ``name`` of a message, whose items are among ``known``; in that order, each once."""
    value = message.get(name)
    if not isinstance(value, list) or not all(isinstance(item, str) and item in known for item in value):
        raise BadMessage(f"{name} must be a list of: {', '.join(known)}")
    return tuple(item for item in known if item in value)


class JsonApplication:
    """Gives each message to the command that its ``type`` names; greets with the commands it knows."""

    subprotocols: tuple[str, ...] = ()

    def __init__(self, name: str, commands: Mapping[str, Command]) -> None:
        self.subprotocols = (f"wsgate.{name}",)
        self._name = name
        self._commands = commands

    def opened(self, visitor: Visitor) -> None:
        """Send ``{"type": "hello", "app": NAME, "commands": [...]}``."""
        visitor.send(encode("hello", app=self._name, commands=list(self._commands)))

    def received(self, visitor: Visitor, payload: bytes, binary: bool) -> None:
        """Do what the message says, or answer with an error."""
        try:
            message = decode(payload, binary)
        except BadMessage as problem:
            visitor.send(encode("error", text=str(problem)))
        else:
            self.obey(visitor, message)

    def obey(self, visitor: Visitor, message: Message) -> None:
        """Do what a decoded message says, or answer with an error."""
        try:
            command = self._commands.get(str(message["type"]))
            if command is None:
                raise BadMessage(f"type must be one of: {', '.join(self._commands)}")
            command(visitor, message)
        except BadMessage as problem:
            visitor.send(encode("error", text=str(problem)))

    def closed(self, visitor: Visitor) -> None:
        """Nothing is kept of a visitor here."""
