"""Ports of TCP that nobody else has: for programs that cannot be given port 0, and for clients known by their port.

A port is given once.  No other test process on this machine gets it while this one lives, and the kernel gives it to
nobody, so that it stays free between choice and use and means one thing as long as a gateway runs.
"""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import socket
import tempfile
import threading
from pathlib import Path

# Below the kernel's range for outgoing connections (net.ipv4.ip_local_port_range).
_FIRST, _COUNT = 10_000, 22_000
_offset = itertools.count(os.getpid() * 41)
_lock = threading.Lock()
# Byte N is locked by the process that port N belongs to; the kernel lets go of it when that process ends.
_claims = os.open(Path(tempfile.gettempdir(), f"wsgate-test-ports-{os.getuid()}"), os.O_RDWR | os.O_CREAT, 0o600)


def _next() -> int:
    """The next port that is claimed by no other process."""
    with _lock:
        for _ in range(_COUNT):
            port = _FIRST + next(_offset) % _COUNT
            try:
                fcntl.lockf(_claims, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
            except OSError:
                continue
            return port
    raise RuntimeError("every port belongs to another process")


def bind_anew(sock: socket.socket, host: str = "") -> int:
    """Bind ``sock`` at ``host`` (everywhere) to a port that this process has not been given before; the port."""
    for _ in range(_COUNT):
        port = _next()
        try:
            sock.bind((host, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return port
    raise RuntimeError(f"no free port on {host or 'this machine'}")


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody listens on at ``host`` now and that this process has not been given before."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return bind_anew(probe, host)
