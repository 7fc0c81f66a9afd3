"""A child process with a reactor of its own, forked inside the running reactor of its parent.

A fork keeps all that was loaded: a worker costs a few megabytes instead of thirty, and TLS contexts that were made
before it resume each other's sessions.  The price is care: the child never returns to its parent's stack, takes no
signal handler, no descriptor and no thread along, and leaves its parent's objects alone (their finalizers would close
descriptors that have other owners by now).
"""

from __future__ import annotations

import faulthandler
import gc
import os
import signal
import socket
import stat
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import IO, Any

#: Signals that are the parent's business; a terminal sends some to every process of the group.
_PARENTS = (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD)

#: What is asked of a child that is stuck: it writes where it is.
DUMP = signal.SIGQUIT

#: What keeps the parent's objects alive in a child.
_kept: list[object] = []

Main = Callable[[socket.socket, Any], None]


@dataclass(slots=True)
class Child:
    """A process, our end of the link to it, and the file that it dumps its stacks to."""

    pid: int
    link: socket.socket
    stacks: IO[bytes]


def fork(main: Main, keep: Iterable[socket.socket]) -> Child:
    """Run ``main(link, reactor)`` in a child, which has the sockets ``keep`` and ends when ``main`` returns."""
    ours, theirs = socket.socketpair()
    # An unlinked file works wherever the log goes, and after the child is gone.
    stacks = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the child
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    gc.collect()
    # Pages with objects that the collector does not touch stay shared.
    gc.freeze()
    pid = os.fork()
    if pid:
        gc.unfreeze()
        theirs.close()
        return Child(pid, ours, stacks)
    code = 1
    try:
        _kept.append((ours, keep))
        _leave_parent({theirs.fileno(), stacks.fileno(), *(sock.fileno() for sock in keep)}, stacks)
        main(theirs, _fresh_reactor())
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def _leave_parent(keep: set[int], stacks: IO[bytes]) -> None:
    signal.set_wakeup_fd(-1)
    for number in _PARENTS:
        signal.signal(number, signal.SIG_IGN if number != signal.SIGCHLD else signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    faulthandler.register(DUMP, stacks, all_threads=True)
    for name in os.listdir("/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"):
        descriptor = int(name)
        if descriptor > 2 and descriptor not in keep and not _is_file(descriptor):
            try:
                os.close(descriptor)
            except OSError:  # the one that listed them
                continue


def _is_file(descriptor: int) -> bool:
    """Whether it is a log or a device: those are shared; sockets, pipes and epoll sets are the parent's."""
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        return True
    return stat.S_ISREG(mode) or stat.S_ISCHR(mode) or stat.S_ISDIR(mode)


def _fresh_reactor() -> Any:
    """The platform's best reactor in place of the parent's, on a monotonic clock."""
    name = "twisted.internet.reactor"
    _kept.append(sys.modules.pop(name))
    import_module("twisted.internet.default").install()
    reactor: Any = sys.modules[name]
    reactor.seconds = time.monotonic
    return reactor
