"""The files of ACME: what an authority is told, and what nobody gets to see."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from wsgate.acme.places import WELL_KNOWN, AcmePlaces

TOKEN = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"


@pytest.fixture
def places(tmp_path: Path) -> AcmePlaces:
    places = AcmePlaces(tmp_path)
    places.make()
    return places


def test_an_answer_is_there_as_soon_as_it_is_written(places: AcmePlaces) -> None:
    path = WELL_KNOWN + TOKEN.encode()
    assert places.answer(path) == b""
    places.write(places.token(TOKEN), b"answer")
    assert places.answer(path) == b"answer"
    places.token(TOKEN).unlink()
    assert places.answer(path) == b""


@pytest.mark.parametrize(
    "path",
    [
        b"/",
        WELL_KNOWN,
        WELL_KNOWN + b"../account.json",
        WELL_KNOWN + b"..%2faccount.json",
        WELL_KNOWN + b"x" * 300,
        b"/.well-known/" + TOKEN.encode(),
        WELL_KNOWN + b"\xff" * 20,
        WELL_KNOWN + TOKEN.encode() + b"/",
        WELL_KNOWN + b"host.example.alpn.pem",
    ],
)
def test_nothing_else_is_told(places: AcmePlaces, path: bytes) -> None:
    places.write(places.token(TOKEN), b"answer")
    places.write(places.account, b"secret")
    places.write(places.name("host.example"), b"secret")
    assert places.answer(path) == b""


@pytest.mark.parametrize("name", ["../x", "a/b", "", "A.example", "a\0b", "x" * 300])
def test_a_name_is_no_path(places: AcmePlaces, name: str) -> None:
    with pytest.raises(ValueError, match="not a host name"):
        places.name(name)
    with pytest.raises(ValueError, match="not a token"):
        places.token(name)


def test_files_and_folders_are_for_their_owner(places: AcmePlaces) -> None:
    places.write_json(places.account, {"key": "secret"})
    assert stat.S_IMODE(places.account.stat().st_mode) == 0o600
    assert stat.S_IMODE(places.folder.stat().st_mode) == 0o700
    assert places.read_json(places.account) == {"key": "secret"}
    assert [path.name for path in places.folder.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("garbage", [b"", b"[]", b"{", b"\xff"])
def test_facts_that_cannot_be_read_are_none(places: AcmePlaces, garbage: bytes) -> None:
    assert places.read_json(places.account) == {}
    places.write(places.account, garbage)
    assert places.read_json(places.account) == {}
