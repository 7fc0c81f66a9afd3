"""Files and directories of a configuration: there, readable, and keys not open to others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from wsgate.config.files import is_private
from wsgate.config.load import parse_config
from wsgate.config.problems import ConfigError

FOOT = "[listener web]\nbind = 127.0.0.1:1\ntls = site\n[route r]\nrespond = 404\n"


def problems(head: str, base: Path) -> list[str]:
    try:
        parse_config(head + FOOT, "x", base)
    except ConfigError as error:
        return [f"{problem.where}: {problem.text}".replace(f"{base}/", "") for problem in error.problems]
    return []


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "cert.pem").write_text("PEM\n")
    (tmp_path / "key.pem").write_text("PEM\n")
    return tmp_path


@pytest.mark.parametrize(
    ("mode", "good"), [(0o600, True), (0o400, True), (0o660, False), (0o644, False), (0o604, False), (0o601, False)]
)
def test_a_key_is_for_its_owner_alone(base: Path, mode: int, good: bool) -> None:
    (base / "key.pem").chmod(mode)
    expected = (
        f"[tls site] key = key.pem: key.pem has mode {mode:04o}, so that others may use the key: chmod 600 key.pem"
    )
    assert problems("[tls site]\ncertificate = cert.pem\nkey = key.pem\n", base) == ([] if good else [expected])


def test_a_group_may_read_the_key_where_root_owns_it() -> None:
    assert is_private(0o640, owner=0)
    assert not is_private(0o640, owner=1000)
    assert not is_private(0o660, owner=0)


def test_a_certificate_that_holds_the_key_is_kept_like_one(base: Path) -> None:
    (base / "cert.pem").chmod(0o600)
    assert problems("[tls site]\ncertificate = cert.pem\n", base) == []
    (base / "cert.pem").chmod(0o644)
    assert problems("[tls site]\ncertificate = cert.pem\n", base) == [
        "[tls site] certificate = cert.pem: cert.pem has mode 0644, so that others may use the key: chmod 600 cert.pem"
    ]


def test_what_is_not_there_is_told_and_a_fifo_is_not_waited_for(base: Path) -> None:
    os.mkfifo(base / "pipe")
    assert problems("[tls site]\ncertificate = pipe\nkey = gone\n", base) == [
        "[tls site] certificate = pipe: pipe is not a file",
        "[tls site] key = gone: gone cannot be read: No such file or directory",
    ]


def test_a_file_with_a_bad_name_is_told_once(base: Path) -> None:
    assert len(problems("[tls site]\ncertificate = ~/cert.pem\n", base)) == 1


SELF_SIGNED = "[tls site]\ncertificate = self-signed\n"


def test_nothing_is_asked_of_a_self_signed_certificate(base: Path) -> None:
    assert problems(SELF_SIGNED, base) == []


def test_the_state_directory_may_be_missing_but_no_file(base: Path) -> None:
    assert problems(f"{SELF_SIGNED}[gateway]\nstate_dir = new/state\n", base) == []
    assert problems(f"{SELF_SIGNED}[gateway]\nstate_dir = cert.pem\n", base) == [
        "[gateway] state_dir = cert.pem: cert.pem is not a directory: choose another path"
    ]


def test_the_directory_of_the_access_log_must_be_there(base: Path) -> None:
    (base / "logs").mkdir()
    assert problems(f"{SELF_SIGNED}[gateway]\naccess_log = logs/access.log\n", base) == []
    assert problems(f"{SELF_SIGNED}[gateway]\naccess_log = logs\n", base) == [
        "[gateway] access_log = logs: logs is a directory: name a file"
    ]
    assert problems(f"{SELF_SIGNED}[gateway]\naccess_log = lgs/access.log\n", base) == [
        "[gateway] access_log = lgs/access.log: the directory lgs cannot be read: No such file or directory"
    ]


def test_a_static_directory_and_the_authorities_of_an_upstream_must_be_there(base: Path) -> None:
    more = "[route s]\npath = /s\nstatic = www\n[route u]\npath = /u\nupstream = u\n"
    upstream = "[upstream u]\nservers = a:1\ntls = on\ntls_ca = ca.pem\n"
    assert problems(SELF_SIGNED + more + upstream, base) == [
        "[route s] static = www: the directory www cannot be read: No such file or directory",
        "[upstream u] tls_ca = ca.pem: ca.pem cannot be read: No such file or directory",
    ]
    (base / "www").mkdir()
    (base / "ca.pem").write_text("PEM\n")
    assert problems(SELF_SIGNED + more + upstream, base) == []
