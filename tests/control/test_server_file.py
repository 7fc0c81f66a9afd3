"""A file of servers is read whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsgate.config.model import Address, Server
from wsgate.control.server_file import ServerFileError, read_servers, stamp


def test_each_line_is_a_server_as_in_an_ini(tmp_path: Path) -> None:
    path = tmp_path / "servers"
    path.write_text("# ours\n127.0.0.1:9000 weight=2 max_conns=5\n\n  [::1]:9000  # v6\nunix:/run/a.sock\n[::1]:9000\n")
    assert read_servers(path) == (
        Server(Address("127.0.0.1", 9000), weight=2, max_conns=5),
        Server(Address("::1", 9000)),
        Server(Address(path="/run/a.sock")),
    )


def test_an_empty_file_has_no_servers(tmp_path: Path) -> None:
    path = tmp_path / "servers"
    path.write_text("# none yet\n")
    assert read_servers(path) == ()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("nonsense", "servers:2: "),
        ("127.0.0.1:9000 wait=2", "servers:2: unknown server option"),
        ("app.example.org:9000", "servers:2: app.example.org is no address"),
        ("10.1:9000", "servers:2: 10.1 is neither"),
        ("python:a.b:c", "servers:2: expected an address"),
        ("file:/other", "servers:2: expected an address"),
        ("unix:relative.sock", "servers:2: expected an address"),
    ],
)
def test_a_wrong_line_is_told_with_its_number(tmp_path: Path, line: str, told: str) -> None:
    path = tmp_path / "servers"
    path.write_text(f"127.0.0.1:1\n{line}\n")
    with pytest.raises(ServerFileError, match=told):
        read_servers(path)


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(ServerFileError, match="cannot be read"):
        read_servers(tmp_path / "none")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(ServerFileError, match="cannot be read"):
        read_servers(tmp_path / "binary")


def test_a_stamp_changes_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "servers"
    assert stamp(path) is None
    path.write_text("a")
    first = stamp(path)
    (tmp_path / "new").write_text("ab")
    (tmp_path / "new").replace(path)
    assert first != stamp(path) is not None
