"""Another process in place of this one: it gets the listening sockets, and takes over only when it is ready.

The one that begins finds ``VARIABLE`` in its environment, with the descriptors of the sockets and of a pipe into which
it writes its process id once it accepts.  If it ends before, the pipe ends, and nothing has happened.  If the other end
is closed by then, nobody wants it any more: the process that was started may only be the one that started a daemon, so
that a signal to it is not enough.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from twisted.internet.defer import Deferred

from wsgate.control.scopes import Scope
from wsgate.errors import WsgateError

VARIABLE = "WSGATE_SUCCESSION"

_NO_PID_FILE = "--pidfile="

#: Of twistd: those that take a value, and the one that takes none.
_USER = ("--uid", "--gid", "-u", "-g")
_EFFECTIVE = "--euid"

#: Lines of a successor's errors that are told.
_LAST_WORDS = 3

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

    def tell(self) -> bool:
        """We accept: the predecessor drains from now on.  False where it has given us up."""
        try:
            os.write(self.ready, b"%d" % os.getpid())
        except BrokenPipeError:
            return False
        finally:
            os.close(self.ready)
        return True

    def take_pid_file(self) -> None:
        """Write our process id into the pid file, if there is one.  Raises OSError."""
        if self.pid_file:
            new = Path(f"{self.pid_file}.{os.getpid()}")
            new.write_text(str(os.getpid()))
            new.rename(self.pid_file)


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
    """Starts ``command`` once, and waits for it to be ready.

    ``keeps_errors``: what it prints before it is ready is told where it fails, and goes nowhere else, for a daemon,
    whose output nobody sees (twistd tells wrong options on the standard output).
    """

    def __init__(
        self,
        reactor: Any,
        command: Sequence[str],
        environment: Mapping[str, str],
        folder: str,
        *,
        keeps_errors: bool = False,
    ) -> None:
        self._reactor = reactor
        self._command = command
        self._environment = environment
        self._folder = folder
        self._keeps_errors = keeps_errors
        self._errors: IO[bytes] | None = None
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
        self._errors = tempfile.TemporaryFile() if self._keeps_errors else None  # noqa: SIM115 - until it is over
        try:
            self._process = subprocess.Popen(
                list(self._command),
                cwd=self._folder,
                env=environment | {VARIABLE: left},
                pass_fds=(*descriptors, theirs),
                stdin=subprocess.DEVNULL,
                stdout=self._errors,
                stderr=self._errors,
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
            done.errback(SuccessionError(f"the new process {_ended(code)} before it was ready: {self._last_words()}"))

    def _last_words(self) -> str:
        errors, self._errors = self._errors, None
        if errors is None:
            return "see its log"
        with errors:
            errors.seek(0)
            lines = errors.read().decode(errors="replace").strip().splitlines()
        return "\n".join(lines[-_LAST_WORDS:]) or "see its log"

    def give_up(self) -> None:
        """We stop ourselves: whoever has not taken over by now must not do so any more."""
        if self._done is None or self._process is None:
            return
        self.doRead()
        if self._said.isdigit():
            # It believes that it has taken over; what it says now nobody reads.
            with suppress(ProcessLookupError):
                os.kill(int(self._said), signal.SIGTERM)
        self._process.kill()
        self._over()

    def _too_late(self) -> None:
        """Nothing is read from now on: one that gets ready after all finds the pipe closed, and ends."""
        if self._process is not None:
            self._process.kill()
        self._over()


def _ended(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"


def successor_command(
    original: Sequence[str], executable: str, name: str = "wsgate", *, may_change_user: bool = True
) -> list[str]:
    """The command of this process once more, as it was given to Python; twistd writes no pid file this time.

    Its own would be refused while we run, and taken away when we end.  A process that has given up root is the user
    that it was told to become; that it could not be told again.
    """
    arguments = list(original[1:])
    if name in arguments:
        place = arguments.index(name)
        if not may_change_user:
            arguments[:place] = _without_user(arguments[:place])
            place = arguments.index(name)
        # We may be a successor ourselves.
        if arguments[place - 1] != _NO_PID_FILE:
            arguments.insert(place, _NO_PID_FILE)
    return [executable, *arguments]


def _without_user(arguments: Sequence[str]) -> list[str]:
    """Without twistd's options for another user, however they were written."""
    kept = []
    words = iter(arguments)
    for word in words:
        if word in _USER:
            next(words, "")
        elif word != _EFFECTIVE and not word.startswith(("--uid=", "--gid=")) and not re.match("-[ug].", word):
            kept.append(word)
    return kept
