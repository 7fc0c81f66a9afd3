"""Nothing outside of the root is ever found, and what was found is what is opened."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from wsgate.targets.confined import find


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """``tmp_path/root`` with a file and a folder; ``tmp_path/outside`` is what must not be found."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_bytes(b"outside")
    root = tmp_path / "root"
    (root / "d" / "e").mkdir(parents=True)
    (root / "f").write_bytes(b"inside f")
    (root / "d" / "e" / "g").write_bytes(b"inside g")
    return root


def content(root: Path, *names: str) -> bytes:
    with find(os.fsencode(root), [os.fsencode(name) for name in names]) as place:
        assert place.is_file
        file = place.open(b"", place.status)
    assert file is not None
    with file:
        return file.read()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_file_is_found_through_its_folders(root: Path) -> None:
    assert content(root, "f") == b"inside f"
    assert content(root, "d", "e", "g") == b"inside g"


def test_no_names_lead_to_the_root_itself(root: Path) -> None:
    with find(os.fsencode(root), []) as place:
        assert place.is_folder and not place.is_file
        assert place.status.st_ino == root.stat().st_ino


@pytest.mark.parametrize(
    "names", [["none"], ["d", "none"], ["none", "f"], ["f", "x"], ["d", "e", "g", "x"], ["x" * 300]]
)
def test_what_is_not_there_is_an_error_and_leaves_no_descriptor(root: Path, names: list[str]) -> None:
    before = descriptors()
    with pytest.raises(OSError):
        content(root, *names)
    assert descriptors() == before


def test_the_root_may_be_missing_and_come_later(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        content(tmp_path / "later", "f")
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "f").write_bytes(b"x")
    assert content(tmp_path / "later", "f") == b"x"


class TestLinks:
    @pytest.mark.parametrize(
        ("name", "target", "names"),
        [
            ("l", "f", ["l"]),
            ("l", "d/../f", ["l"]),
            ("d/l", "../f", ["d", "l"]),
            ("l", ".", ["l", "f"]),
            ("l", "d", ["l", "..f"]),
        ],
    )
    def test_a_link_that_ends_below_the_root_is_followed(
        self, root: Path, name: str, target: str, names: Sequence[str]
    ) -> None:
        (root / "d" / "..f").write_bytes(b"inside f")
        (root / name).symlink_to(target)
        assert content(root, *names) == b"inside f"

    def test_an_absolute_link_and_a_chain_are_followed(self, root: Path) -> None:
        (root / "one").symlink_to(root / "d")
        (root / "two").symlink_to("one/e")
        assert content(root, "two", "g") == b"inside g"

    def test_a_link_to_the_root_is_a_folder(self, root: Path) -> None:
        (root / "d" / "up").symlink_to("..")
        with find(os.fsencode(root), [b"d", b"up"]) as place:
            assert place.is_folder
        assert content(root, "d", "up", "d", "up", "f") == b"inside f"

    @pytest.mark.parametrize(
        ("target", "names"),
        [
            ("../outside/secret", ["l"]),
            ("../outside", ["l", "secret"]),
            ("..", ["l", "outside", "secret"]),
            ("/", ["l", "etc", "passwd"]),
            ("/etc/passwd", ["l"]),
            ("d/../../outside/secret", ["l"]),
            ("../root-beside/secret", ["l"]),
            ("../fake/f", ["l"]),
        ],
    )
    def test_a_link_that_leads_out_of_the_root_is_as_good_as_missing(
        self, root: Path, target: str, names: list[str]
    ) -> None:
        (root.parent / "fake").mkdir()
        (root.parent / "fake" / "f").write_bytes(b"outside")
        (root.parent / "root-beside").mkdir()
        (root.parent / "root-beside" / "secret").write_bytes(b"outside")
        (root / "l").symlink_to(target)
        before = descriptors()
        with pytest.raises(FileNotFoundError):
            content(root, *names)
        assert descriptors() == before

    @pytest.mark.parametrize("target", ["l", "none", "f/x"])
    def test_a_link_that_leads_nowhere_is_an_error(self, root: Path, target: str) -> None:
        (root / "l").symlink_to(target)
        with pytest.raises(OSError):
            content(root, "l")

    def test_the_root_may_be_a_link_that_is_put_elsewhere(self, root: Path) -> None:
        (root.parent / "current").symlink_to("root")
        (root / "l").symlink_to("f")
        assert content(root.parent / "current", "l") == b"inside f"
        (root.parent / "next").symlink_to("outside")
        (root.parent / "next").replace(root.parent / "current")
        assert content(root.parent / "current", "secret") == b"outside"

    def test_the_root_of_all_may_be_the_root(self, root: Path) -> None:
        (root / "l").symlink_to("f")
        assert content(Path("/"), *(root / "l").parts[1:]) == b"inside f"
        (root / "all").symlink_to("/")
        with find(b"/", [os.fsencode(name) for name in (root / "all").parts[1:]]) as place:
            assert place.is_folder


def test_only_regular_files_are_files(root: Path) -> None:
    os.mkfifo(root / "fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.fspath(root / "s"))
    for name in (b"fifo", b"s", b"d"):
        with find(os.fsencode(root), [name]) as place:
            assert not place.is_file
    with find(b"/dev", [b"null"]) as place:
        assert not place.is_file


class TestOpening:
    def test_another_file_in_its_place_is_not_opened(self, root: Path) -> None:
        before = descriptors()
        with find(os.fsencode(root), [b"f"]) as place:
            (root / "new").write_bytes(b"inside f")
            (root / "new").replace(root / "f")
            assert place.open(b"", place.status) is None
        assert descriptors() == before

    def test_a_fifo_in_its_place_is_not_waited_for(self, root: Path) -> None:
        with find(os.fsencode(root), [b"f"]) as place:
            (root / "f").unlink()
            os.mkfifo(root / "f")
            assert place.open(b"", place.status) is None

    def test_a_link_in_its_place_is_not_followed(self, root: Path) -> None:
        with find(os.fsencode(root), [b"f"]) as place:
            (root / "f").unlink()
            (root / "f").symlink_to("../outside/secret")
            with pytest.raises(OSError):
                place.open(b"", place.status)

    def test_siblings_are_regular_files_with_a_longer_name(self, root: Path) -> None:
        (root / "f.gz").write_bytes(b"packed")
        (root / "f.br").symlink_to("../outside/secret")
        (root / "f.d").mkdir()
        with find(os.fsencode(root), [b"f"]) as place:
            status = place.sibling(b".gz")
            assert status is not None and status.st_size == 6
            file = place.open(b".gz", status)
            assert file is not None
            with file:
                assert file.read() == b"packed"
            assert [place.sibling(suffix) for suffix in (b".br", b".d", b".none", b"x" * 300)] == [None] * 4
            assert place.readable(b".gz") and not place.readable(b".none")


def test_a_folder_that_is_swapped_for_a_link_meanwhile_never_leads_out(root: Path) -> None:
    """Another thread swaps a folder and a link to the outside all the time, as an attacker with write access would."""
    (root / "d" / "secret").write_bytes(b"inside s")
    (root / "link").symlink_to("../outside")
    over = threading.Event()

    def swap() -> None:
        while not over.is_set():
            (root / "d").rename(root / "aside")
            (root / "link").rename(root / "d")
            (root / "d").rename(root / "link")
            (root / "aside").rename(root / "d")

    swapping = threading.Thread(target=swap)
    swapping.start()
    found = set()
    try:
        for _ in range(3000):
            try:
                found.add(content(root, "d", "secret"))
            except OSError:
                found.add(b"nothing")
    finally:
        over.set()
        swapping.join()
    found.add(content(root, "d", "secret"))
    assert b"outside" not in found
    assert b"inside s" in found
