"""What a Python hook of an operator works with; ``docs/hooks.rst`` explains it.

A message hook is what a route names as ``on_message = package.module:function``::

    def function(facts: Facts, sender: str, opcode: int, payload: str | bytes) -> Answer: ...

``sender`` is CLIENT or SERVER; ``payload`` is text for TEXT and bytes for BINARY.  The answer is the payload to pass
on (text is sent as text, bytes are sent as binary), DROP to pass nothing on, or a Close; or an Awaitable or Deferred of
one of them.
"""

from __future__ import annotations

from wsgate.relay.message_hooks import BINARY, CLIENT, DROP, SERVER, TEXT, Answer, Close, Facts, HookError

__all__ = ["BINARY", "CLIENT", "DROP", "SERVER", "TEXT", "Answer", "Close", "Facts", "HookError"]
