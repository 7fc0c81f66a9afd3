"""Giving up root: what is handed on before, and the reason of a refusal after it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from wsgate.control.privileges import Privileges, give_away, lay_out

DENIED = "cannot listen on 0.0.0.0:80: Permission denied"


@pytest.mark.parametrize(
    ("before", "now", "error", "explained"),
    [
        (0, 65534, DENIED, True),
        (0, 0, DENIED, False),
        (1000, 1000, DENIED, False),
        (0, 65534, "cannot listen on 0.0.0.0:80: Address already in use", False),
    ],
)
def test_the_drop_is_named_where_it_is_the_reason(before: int, now: int, error: str, explained: bool) -> None:
    users = iter([before, now])
    told = Privileges(lambda: next(users, now)).explain(error)
    assert told.startswith(error)
    assert ("given up root" in told) is explained


def test_all_but_what_links_lead_to_is_given_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int] = []
    name_of = {}
    state, other = tmp_path / "state", tmp_path / "other"
    for folder in (state, state / "tls", other):
        folder.mkdir()
    for path in (state / "key", state / "tls" / "site.key", other / "secret", tmp_path / "log"):
        path.touch()
    (state / "link").symlink_to(other / "secret")
    (state / "folder").symlink_to(other)
    for path in tmp_path.rglob("*"):
        name_of[path.lstat().st_ino] = path.name

    def chown(path: str | Path, uid: int, gid: int, *, dir_fd: int | None = None, follow_symlinks: bool) -> None:
        assert (uid, gid) == (7, 8) and not follow_symlinks
        given.append(os.stat(path, dir_fd=dir_fd, follow_symlinks=False).st_ino)

    monkeypatch.setattr(os, "chown", chown)
    monkeypatch.setattr(os, "fchown", lambda descriptor, uid, gid: given.append(os.fstat(descriptor).st_ino))
    give_away([state, tmp_path / "log", tmp_path / "nothing"], 7, 8)
    assert {name_of[inode] for inode in given} == {"state", "tls", "key", "site.key", "log", "link", "folder"}


def test_a_log_is_laid_out_where_there_is_none_and_kept_where_there_is_one(tmp_path: Path) -> None:
    for name, before in (("new.log", None), ("old.log", "a line")):
        path = tmp_path / name
        if before:
            path.write_text(before)
        lay_out(path, 0o640)
        assert path.read_text() == (before or "")
    assert (tmp_path / "new.log").stat().st_mode & 0o7777 == 0o640
    lay_out(tmp_path / "nowhere" / "a.log", 0o640)
    assert not (tmp_path / "nowhere").exists()
