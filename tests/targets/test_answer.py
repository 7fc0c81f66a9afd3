"""What an answer is made of."""

from __future__ import annotations

from io import FileIO
from pathlib import Path

import pytest

from wsgate.targets.answer import FileBlocks, text_answer


def blocks(path: Path, offset: int, length: int) -> FileBlocks:
    return FileBlocks(FileIO(str(path)), offset, length)


def test_a_part_of_a_file_is_read_in_blocks_and_no_further(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"0123456789")
    part = blocks(path, 2, 5)
    assert [part.read(3), part.remaining, part.read(3), part.remaining, part.read(3)] == [b"234", 2, b"56", 0, b""]
    part.close()


def test_a_file_that_was_cut_meanwhile_ends_with_bytes_remaining(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"0123456789")
    part = blocks(path, 0, 10)
    path.write_bytes(b"012")
    assert [part.read(64), part.read(64), part.remaining] == [b"012", b"", 7]
    part.close()


def test_closing_gives_the_descriptor_back_and_may_be_repeated(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x")
    part = blocks(path, 0, 1)
    assert part.fileno() >= 0
    part.close()
    part.close()
    with pytest.raises(ValueError, match="closed"):
        part.fileno()


def test_text_is_marked_so_that_nobody_takes_it_for_html() -> None:
    answer = text_answer(200, "grüß", [(b"X-More", b"1")])
    assert answer.body == "grüß".encode()
    assert answer.headers == [
        (b"Content-Type", b"text/plain; charset=utf-8"),
        (b"Content-Length", b"6"),
        (b"X-Content-Type-Options", b"nosniff"),
        (b"X-More", b"1"),
    ]


def test_statuses_without_a_body_have_none() -> None:
    for status in (204, 304):
        answer = text_answer(status, "x", [(b"ETag", b'"1"')])
        assert (answer.headers, answer.body) == ([(b"ETag", b'"1"')], None)
    assert text_answer(205, "x").body == b""
    assert (b"Content-Length", b"0") in text_answer(205, "x").headers
