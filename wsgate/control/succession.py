"""Another process in place of this one: it gets the listening sockets, and takes over only when it is ready.

The one that begins finds ``VARIABLE`` in its environment, with the descriptors of the sockets and of a pipe into which
it writes its process id once it accepts.  If it ends before, the pipe ends, and nothing has happened.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from wsgate.control.scopes import Scope
from wsgate.errors import WsgateError

VARIABLE = "WSGATE_SUCCESSION"

_NO_PID_FILE = "--pidfile="

#: Seconds that a successor has to get ready.
PATIENCE = 60.0

#: Of a service manager, for this process alone.
_OURS = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID")


class SuccessionError(WsgateError):
    """No successor took over."""


@dataclass(frozen=True, slots=True)
class Estate:
    """What a successor got: ``sockets`` are descriptors, ``ready`` the pipe, ``pid_file`` is its to write.

    ``drained`` is what the predecessor gave nothing new to.
    """

    sockets: tuple[int, ...]
    ready: int
    pid_file: str
    drained: tuple[Scope, ...] = ()

    def take_over(self) -> None:
        """We accept: tell the predecessor, which drains from now on."""
        if self.pid_file:
            new = Path(f"{self.pid_file}.{os.getpid()}")
            new.write_text(str(os.getpid()))
            new.rename(self.pid_file)
        os.write(self.ready, b"%d" % os.getpid())
        os.close(self.ready)


def inherited(environment: MutableMapping[str, str]) -> Estate | None:
    """What a predecessor has left us; None where there is none."""
    text = environment.pop(VARIABLE, "")
    if not text:
        return None
    left = json.loads(text)
    drained = tuple(Scope.of(facts) for facts in left.get("drained", ()))
    estate = Estate(tuple(left["sockets"]), left["ready"], left["pid_file"], drained)
    for descriptor in (*estate.sockets, estate.ready):
        os.set_inheritable(descriptor, False)
    return estate


class Successor:
    """Starts ``command`` once, and waits for it to be ready."""

    def __init__(self, reactor: Any, command: Sequence[str], environment: Mapping[str, str], folder: str) -> None:
        self._reactor = reactor
        self._command = command
        self._environment = environment
        self._folder = folder
        self._done: Deferred[int] | None = None
        self._said = b""
        self._pipe = -1
        self._process: subprocess.Popen[bytes] | None = None
        self._deadline: Any = None

    def start(self, sockets: Iterable[socket.socket], pid_file: str, drained: Iterable[Scope] = ()) -> Deferred[int]:
        """Fires with the successor's process id when it accepts.  Raises SuccessionError; may be tried again."""
        if self._done is not None:
            raise SuccessionError("a successor is starting already")
        self._pipe, theirs = os.pipe()
        descriptors = [sock.fileno() for sock in sockets]
        left = json.dumps(
            {
                "sockets": descriptors,
                "ready": theirs,
                "pid_file": pid_file,
                "drained": [scope.facts for scope in drained],
            }
        )
        environment = {name: value for name, value in self._environment.items() if name not in _OURS}
        try:
            self._process = subprocess.Popen(
                list(self._command),
                cwd=self._folder,
                env=environment | {VARIABLE: left},
                pass_fds=(*descriptors, theirs),
                stdin=subprocess.DEVNULL,
            )
        except OSError as error:
            os.close(self._pipe)
            raise SuccessionError(f"{self._command[0]} cannot be started: {error.strerror or error}") from None
        finally:
            os.close(theirs)
        os.set_blocking(self._pipe, False)
        self._said = b""
        self._done = Deferred()
        self._deadline = self._reactor.callLater(PATIENCE, self._too_late)
        self._reactor.addReader(self)
        return self._done

    # What the reactor asks of a reader (IReadDescriptor).

    def fileno(self) -> int:
        return self._pipe

    def logPrefix(self) -> str:
        return "wsgate succession"

    def connectionLost(self, reason: object) -> None:
        """A pipe whose other end is closed is lost to some reactors, others find that there is nothing to read."""
        self._over()

    def doRead(self) -> None:
        try:
            data = os.read(self._pipe, 64)
        except BlockingIOError:
            return
        self._said += data
        if not data:
            self._over()

    def _over(self) -> None:
        done, self._done = self._done, None
        if done is None:
            return
        self._reactor.removeReader(self)
        os.close(self._pipe)
        if self._deadline.active():
            self._deadline.cancel()
        if self._said.isdigit():
            done.callback(int(self._said))
        else:
            code = self._process.wait() if self._process is not None else 0
            done.errback(SuccessionError(f"the new process ended with {code} before it was ready: see its log"))

    def give_up(self) -> None:
        """We stop ourselves: whoever has not taken over by now must not do so any more."""
        if self._done is not None and self._process is not None:
            self._process.kill()

    def _too_late(self) -> None:
        """The pipe ends with the process."""
        if self._process is not None:
            self._process.kill()


def successor_command(original: Sequence[str], executable: str, name: str = "wsgate") -> list[str]:
    """The command of this process once more, as it was given to Python; twistd writes no pid file this time.

    Its own would be refused while we run, and taken away when we end.
    """
    arguments = list(original[1:])
    if name in arguments:
        place = arguments.index(name)
        # We may be a successor ourselves.
        if arguments[place - 1] != _NO_PID_FILE:
            arguments.insert(place, _NO_PID_FILE)
    return [executable, *arguments]
