"""Message hooks: a function of the operator's that sees each message of a WebSocket; see ``wsgate.hooks``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from inspect import iscoroutine
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from wsgate.causes import Side
from wsgate.errors import WsgateError
from wsgate.relay.interfaces import Opening
from wsgate.wire import ws_encoding
from wsgate.wire.close_codes import is_sendable

_log = Logger("wsgate.relay")

#: Who sent a message.
CLIENT: Final = Side.CLIENT.value
SERVER: Final = Side.SERVER.value

#: What a message is (RFC 6455 section 5.6).
TEXT: Final = ws_encoding.TEXT
BINARY: Final = ws_encoding.BINARY

DROP: Final = None
"""The answer that passes nothing on; what a function without a ``return`` answers, too."""


class HookError(WsgateError):
    """A hook that cannot be loaded, or one that answers what is no answer."""


class Close(Exception):
    """End the WebSocket: both sides get a Close with this code and reason.  To be returned or raised.

    Raises ValueError for a code that must not be sent (RFC 6455 section 7.4.1); what is over 123 bytes of the reason
    is cut off.
    """

    def __init__(self, code: int = 1008, reason: str = "") -> None:
        if not is_sendable(code):
            raise ValueError(f"Close code {code} must not be sent")
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a WebSocket when its first message comes.

    ``client`` is the client's address, ``host`` the one that it asked for, ``path`` decoded and normalised, without the
    query; ``subprotocol`` is empty where none was agreed; ``secure`` says whether the client came by TLS.
    """

    client: str
    host: str
    path: str
    route: str
    subprotocol: str
    secure: bool

    @classmethod
    def of(cls, opening: Opening) -> Facts:
        subprotocol = (opening.agreed.protocol or b"").decode("latin-1")
        return cls(opening.client, opening.host, opening.path, opening.route, subprotocol, opening.secure)


Verdict = str | bytes | Close | None
Answer = Verdict | Awaitable[Verdict] | Deferred[Verdict]
MessageHook = Callable[[Facts, str, int, Any], Answer]


class Asked(Protocol):
    """Who is told the answer to one message; one of the three is called, once, unless the asking is cancelled."""

    def hook_passed(self, payload: bytes, binary: bool) -> None: ...

    def hook_dropped(self) -> None: ...

    def hook_closed(self, close: Close) -> None: ...

    def hook_failed(self, failure: Failure) -> None: ...


@lru_cache(maxsize=256)
def load_message_hook(name: str) -> MessageHook:
    """The function ``package.module:function``, imported the first time.  Raises HookError."""
    module_name, _, attribute = name.partition(":")
    try:
        found: MessageHook = getattr(import_module(module_name), attribute)
    except (Exception, SystemExit) as error:
        raise HookError(f"{name} cannot be loaded: {type(error).__name__}: {error}") from error
    if not callable(found):
        raise HookError(f"{name} is no function")
    return found


def ask(hook: MessageHook, facts: Facts, sender: Side, payload: bytes, binary: bool, asked: Asked) -> Waiting | None:
    """Show a message to ``hook``; None where ``asked`` has been told the answer, else what is waited for.

    ``payload`` of a text message is valid UTF-8.
    """
    try:
        if binary:
            answer = hook(facts, sender.value, BINARY, payload)
        else:
            answer = hook(facts, sender.value, TEXT, payload.decode())
    except Close as close:
        asked.hook_closed(close)
        return None
    except BaseException:  # sys.exit() in a hook is no reason to end what all connections share
        asked.hook_failed(Failure())
        return None
    if answer is None or isinstance(answer, str | bytes | Close):
        _tell(answer, asked)
        return None
    return _wait(answer, asked)


def _tell(verdict: Any, asked: Asked) -> None:
    if isinstance(verdict, bytes):
        asked.hook_passed(verdict, True)
    elif isinstance(verdict, str):
        try:
            asked.hook_passed(verdict.encode(), False)
        except UnicodeEncodeError:
            asked.hook_failed(Failure())
    elif verdict is None:
        asked.hook_dropped()
    elif isinstance(verdict, Close):
        asked.hook_closed(verdict)
    else:
        asked.hook_failed(
            Failure(HookError(f"a hook answered {type(verdict).__name__}: not str, bytes, DROP or Close"))
        )


class Waiting:
    """An answer that is not there yet."""

    __slots__ = ("_asked", "_deferred", "done")

    def __init__(self, deferred: Deferred[Any], asked: Asked) -> None:
        self.done = False
        self._asked: Asked | None = asked
        self._deferred = deferred
        deferred.addCallbacks(self._answered, self._failed).addErrback(_not_acted_on)

    def cancel(self) -> None:
        """Wait no longer; ``asked`` is told nothing."""
        self._asked = None
        self._deferred.cancel()

    def _answered(self, verdict: Any) -> None:
        self.done = True
        asked, self._asked = self._asked, None
        if asked is not None:
            _tell(verdict, asked)

    def _failed(self, failure: Failure) -> None:
        self.done = True
        asked, self._asked = self._asked, None
        if asked is None:
            return
        if isinstance(failure.value, Close):
            asked.hook_closed(failure.value)
        else:
            asked.hook_failed(failure)


def _wait(answer: Any, asked: Asked) -> Waiting | None:
    if not isinstance(answer, Deferred):
        if not isinstance(answer, Awaitable):
            _tell(answer, asked)
            return None
        answer = Deferred.fromCoroutine(answer if iscoroutine(answer) else _result_of(answer))
    waiting = Waiting(answer, asked)
    return None if waiting.done else waiting


async def _result_of(answer: Awaitable[Any]) -> Any:
    return await answer


def _not_acted_on(failure: Failure) -> None:
    _log.failure("the answer of a message hook could not be acted on", failure=failure)
