"""Small files that are given from memory: never another answer than looking anew would give."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from wsgate.targets.answer import Answer
from wsgate.targets.ready import KEPT_FOR, LARGEST, MOST
from wsgate.targets.static import StaticSite

OLD = 1_700_000_000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Files and folders that have been left alone for long: their times can be told from those of any change."""
    root = tmp_path / "www"
    (root / "sub").mkdir(parents=True)
    for name in ("a.txt", "sub/b.txt"):
        (root / name).write_text(name)
    for path in (root / "a.txt", root / "sub" / "b.txt", root / "sub", root):
        os.utime(path, (OLD, OLD))
    return root


@pytest.fixture
def site(root: Path) -> StaticSite:
    return StaticSite(root, ("index.html",), 60.0)


def ask(site: StaticSite, path: str = "/a.txt", now: float = 10.0, *fields: tuple[bytes, bytes]) -> Answer:
    return site.answer("GET", path, fields, now=now)


@pytest.fixture
def opened() -> Iterator[list[object]]:
    """What was opened meanwhile."""
    names: list[object] = []
    real = os.open

    def noting(path: bytes, *rest: int, **more: int) -> int:
        names.append(path)
        return real(path, *rest, **more)

    with patch("os.open", noting):
        yield names


def test_it_is_opened_once_and_given_again(site: StaticSite, opened: list[object]) -> None:
    first = ask(site)
    assert opened
    opened.clear()
    assert ask(site, now=10.0 + KEPT_FOR / 2) is first
    assert ask(site, "/a.txt", 10.5, (b"Accept-Encoding", b"gzip")) is first
    assert first.body == b"a.txt"
    assert not opened


def test_it_is_opened_again_after_a_while(site: StaticSite, opened: list[object]) -> None:
    ask(site)
    opened.clear()
    assert ask(site, now=10.0 + KEPT_FOR).body == b"a.txt"
    assert opened


def rewritten(root: Path) -> None:
    (root / "a.txt").write_text("A.TXT")


def replaced(root: Path) -> None:
    (root / "new").write_text("A.TXT")
    (root / "new").rename(root / "a.txt")


def coded(root: Path) -> None:
    (root / "a.txt.gz").write_bytes(b"zip")


def removed(root: Path) -> None:
    (root / "a.txt").unlink()


def a_folder(root: Path) -> None:
    (root / "a.txt").unlink()
    (root / "a.txt").mkdir()


def a_link(root: Path) -> None:
    (root / "a.txt").unlink()
    (root / "a.txt").symlink_to("sub/b.txt")


def a_link_outside(root: Path) -> None:
    (root.parent / "secret").write_text("secret")
    (root / "a.txt").unlink()
    (root / "a.txt").symlink_to("../secret")


def another_root(root: Path) -> None:
    root.rename(root.with_name("before"))
    root.mkdir()
    (root / "a.txt").write_text("A.TXT")


def not_readable(root: Path) -> None:
    (root / "a.txt").chmod(0)


@pytest.mark.parametrize(
    "change",
    [rewritten, replaced, coded, removed, a_folder, a_link, a_link_outside, another_root, not_readable],
)
def test_a_change_is_seen_by_the_next_request(site: StaticSite, root: Path, change: Callable[[Path], None]) -> None:
    kept = ask(site)
    change(root)
    encoding = (b"Accept-Encoding", b"gzip")
    now, anew = ask(site, "/a.txt", 10.1, encoding), site.answer("GET", "/a.txt", [encoding])
    assert now is not kept
    assert (now.status, now.headers, now.body) == (anew.status, anew.headers, anew.body)


def test_a_folder_that_becomes_a_link_out_of_the_root_is_noticed_in_time(site: StaticSite, root: Path) -> None:
    ask(site, "/sub/b.txt")
    (root / "sub").rename(root.parent / "outside")
    (root / "sub").symlink_to("../outside")
    assert ask(site, "/sub/b.txt", 10.0 + KEPT_FOR).status == 404


@pytest.mark.parametrize(
    "field", [b"Range", b"If-None-Match", b"If-Modified-Since", b"If-Match", b"If-Unmodified-Since", b"If-Range"]
)
def test_a_request_with_a_condition_is_looked_at(site: StaticSite, field: bytes) -> None:
    kept = ask(site)
    assert ask(site, "/a.txt", 10.1, (field, b"x")) is not kept
    assert site.answer("HEAD", "/a.txt", (), now=10.1).body is None


def test_a_file_with_codings_is_looked_at_each_time(site: StaticSite, root: Path) -> None:
    (root / "a.txt.br").write_bytes(b"br")
    assert ask(site) is not ask(site)


def test_what_was_reached_by_a_link_is_looked_at_each_time(site: StaticSite, root: Path) -> None:
    (root / "link.txt").symlink_to("a.txt")
    assert ask(site, "/link.txt").body == b"a.txt"
    assert ask(site, "/link.txt") is not ask(site, "/link.txt")


def test_big_files_and_what_is_no_file_are_not_kept(site: StaticSite, root: Path) -> None:
    (root / "big").write_bytes(bytes(LARGEST + 1))
    for path in ("/big", "/missing", "/sub"):
        assert ask(site, path) is not ask(site, path)


def test_there_are_never_more_than_may_be(site: StaticSite, root: Path) -> None:
    for number in range(MOST + 1):
        (root / f"{number}").write_text("x")
    answers = [ask(site, f"/{number}") for number in range(MOST + 1)]
    assert ask(site, f"/{MOST}") is answers[MOST]
    assert ask(site, "/0") is not answers[0]
