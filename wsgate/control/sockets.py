"""The listening sockets of a gateway: bound once, kept through reloads, handed to workers and to the next version."""

from __future__ import annotations

import os
import socket
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress

from wsgate.control.doors import Binds
from wsgate.control.whereabouts import OptionError
from wsgate.downstream.listening import BindError, bind
from wsgate.transport.sockets import tune

#: The first descriptor that systemd passes, sd_listen_fds(3).
FIRST = 3


class Sockets:
    """Bound sockets by the keys of ``binds``.  ``inherited`` are sockets that somebody else has bound for us."""

    def __init__(self, inherited: Iterable[socket.socket] = ()) -> None:
        self.bound: dict[str, socket.socket] = {}
        self._inherited = list(inherited)

    def bind_missing(self, wanted: Binds, source: str = "") -> dict[str, socket.socket]:
        """Bind what ``wanted`` of the INI ``source`` has and we have not.

        Raises OptionError, and then nothing has happened.

        An inherited socket whose owner lets nobody in stays as it is until ``stand``: we may never get that far.
        """
        added: dict[str, socket.socket] = {}
        try:
            for key, (listener, address) in wanted.items():
                if key not in self.bound:
                    found = self._take(key)
                    if found is not None and found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                        found.listen(listener.backlog)
                    added[key] = found or bind(address, listener.backlog, listener.unix_mode)
        except BindError as error:
            for sock in added.values():
                sock.close()
            raise OptionError(source, "listener", listener.name, "bind", str(error), str(address)) from None
        return added

    def _take(self, key: str) -> socket.socket | None:
        """An inherited socket that is bound to what ``key`` says."""
        for sock in self._inherited:
            if _name(sock) == key.partition("#")[0]:
                self._inherited.remove(sock)
                sock.setblocking(False)
                tune(sock)
                return sock
        return None

    def keep(self, added: Mapping[str, socket.socket], wanted: Binds) -> None:
        """Make ``added`` ours, and close what is not wanted any more."""
        self.bound.update(added)
        for key in [key for key in self.bound if key not in wanted]:
            self.bound.pop(key).close()

    def spare(self) -> list[str]:
        """Inherited sockets that no listener wants: they are closed, and told of."""
        names = [_name(sock) for sock in self._inherited]
        for sock in self._inherited:
            sock.close()
        self._inherited.clear()
        return names

    def refuse(self, wanted: Binds, listener: str) -> None:
        """Let the kernel refuse connections to a listener, for all processes that share its sockets.

        On Linux a shutdown takes a TCP socket out of the listening state; it stays bound, and ``listen`` puts it back.
        Unix sockets know no such way back: who connects to one waits in its queue.
        """
        for key, (owner, address) in wanted.items():
            if owner.name == listener and not address.is_unix:
                _refuse(self.bound[key])

    def stand(self, wanted: Binds, drained: Collection[str], added: Collection[str] = ()) -> None:
        """Let connections in to all but the ``drained`` listeners; of those, what was ``added`` just now is refused.

        A reload may have given the address of a drained listener to another one.
        """
        for key, (owner, address) in wanted.items():
            if owner.name not in drained:
                self.bound[key].listen(owner.backlog)
            elif key in added and not address.is_unix:
                _refuse(self.bound[key])

    def close(self) -> None:
        self.keep({}, {})


def _refuse(sock: socket.socket) -> None:
    """Take a socket out of the listening state, once: said again it would hold for all who are accepted later."""
    if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RD)


def _name(sock: socket.socket) -> str:
    """What a socket is bound to, as a configuration says it."""
    name = sock.getsockname()
    if isinstance(name, tuple):
        return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"
    return f"unix:{os.fsdecode(name)}"


def from_descriptors(descriptors: Iterable[int]) -> list[socket.socket]:
    """The listening sockets among inherited descriptors; they are not passed on to programs that we start."""
    found = []
    for descriptor in descriptors:
        sock = socket.socket(fileno=descriptor)
        sock.set_inheritable(False)
        found.append(sock)
    return found


def activated(environment: Mapping[str, str], pid: int) -> list[int]:
    """The descriptors that systemd passed to this process, sd_listen_fds(3)."""
    if environment.get("LISTEN_PID") != str(pid):
        return []
    count = environment.get("LISTEN_FDS", "0")
    return list(range(FIRST, FIRST + int(count))) if count.isdigit() else []
