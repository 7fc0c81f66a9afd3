"""Datagrams for a service manager."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from wsgate.control.notify import Notify


def test_states_are_told_in_datagrams(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.settimeout(30)
        notify = Notify({"NOTIFY_SOCKET": path}, 7, lambda: 1.5)
        for tell, expected in (
            (lambda: notify.ready("fine"), "READY=1\nSTATUS=fine"),
            (notify.reloading, "RELOADING=1\nMONOTONIC_USEC=1500000"),
            (notify.stopping, "STOPPING=1"),
            (notify.alive, "WATCHDOG=1"),
            (lambda: notify.main_pid(9), "MAINPID=9"),
        ):
            tell()
            assert manager.recv(1000).decode() == expected


def test_a_process_that_was_succeeded_says_nothing_more(tmp_path: Path) -> None:
    """A STOPPING of the old process would be taken for the end of the service."""
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.setblocking(False)
        notify = Notify({"NOTIFY_SOCKET": path}, 7)
        notify.main_pid(9)
        assert manager.recv(1000) == b"MAINPID=9"
        notify.stopping()
        notify.alive()
        with pytest.raises(BlockingIOError):
            manager.recv(1000)


def test_without_a_manager_nothing_is_told_and_nothing_fails(tmp_path: Path) -> None:
    Notify({}, 7).ready()
    Notify({"NOTIFY_SOCKET": str(tmp_path / "nobody")}, 7).ready()


def test_the_watchdog_is_for_the_process_that_it_names() -> None:
    socket_name = {"NOTIFY_SOCKET": "/nowhere"}
    assert Notify({**socket_name, "WATCHDOG_USEC": "3000000"}, 7).watchdog == 3.0
    assert Notify({**socket_name, "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "7"}, 7).watchdog == 3.0
    assert Notify({**socket_name, "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "8"}, 7).watchdog == 0.0
    assert Notify({"WATCHDOG_USEC": "3000000"}, 7).watchdog == 0.0
