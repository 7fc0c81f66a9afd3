"""Telling a service manager how we are: sd_notify(3), one datagram for each message."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress


class Notify:
    """Sends to the socket that ``environment`` names; says nothing where there is none, and never fails.

    ``watchdog`` is how often, in seconds, the manager wants to hear from us; 0 where it does not (WATCHDOG_USEC).
    """

    def __init__(
        self, environment: Mapping[str, str], pid: int, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "").replace("@", "\0", 1)
        self._monotonic = monotonic
        every = environment.get("WATCHDOG_USEC", "")
        meant = environment.get("WATCHDOG_PID", str(pid)) == str(pid)
        self.watchdog = int(every) / 1e6 if every.isdigit() and meant and self._address else 0.0

    def ready(self, status: str = "", pid: int = 0) -> None:
        """The service is up; ``pid`` is another main process than before."""
        self._send("READY=1", f"STATUS={status}" if status else "", f"MAINPID={pid}" if pid else "")

    def reloading(self) -> None:
        self._send("RELOADING=1", f"MONOTONIC_USEC={int(self._monotonic() * 1e6)}")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def main_pid(self, pid: int) -> None:
        """Another process is the service from now on, and speaks for it: nothing more is said from here.

        A STOPPING of ours would be taken for the service's (sd_notify(3), NotifyAccess=all).
        """
        self._send(f"MAINPID={pid}")
        self._address = ""

    def alive(self) -> None:
        self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.setblocking(False)
            sock.sendto("\n".join(line for line in lines if line).encode(), self._address)
