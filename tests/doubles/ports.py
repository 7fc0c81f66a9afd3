"""Ports for programs that cannot be given port 0."""

from __future__ import annotations

import itertools
import os
import socket
import threading

# Below the kernel's range for outgoing connections, so that no client socket takes a port between choice and use.
_FIRST, _COUNT = 20_000, 12_000
_offset = itertools.count(os.getpid() * 41)
_lock = threading.Lock()


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that nobody listens on at ``host`` now and that this process has not been given before."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for _ in range(_COUNT):
        with _lock:
            port = _FIRST + next(_offset) % _COUNT
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
        return port
    raise RuntimeError(f"no free port on {host}")
