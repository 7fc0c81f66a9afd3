"""Files below a root, as they are at the moment of the request."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.targets.reading import ask, read
from wsgate.targets.confined import Place
from wsgate.targets.static import StaticSite


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "www"
    (root / "docs" / "empty").mkdir(parents=True)
    (root / "index.html").write_text("home")
    (root / "app.js").write_text("plain script")
    (root / "docs" / "index.html").write_text("docs")
    (root / ".env").write_text("PASSWORD")
    (root / ".git").mkdir()
    (root / ".git" / "config").write_text("PASSWORD")
    (tmp_path / "secret").write_text("PASSWORD")
    return root


@pytest.fixture
def site(root: Path) -> StaticSite:
    return StaticSite(root, ("index.html", "index.htm"), 60.0)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


class TestFiles:
    def test_a_file_is_sent_with_what_describes_it(self, site: StaticSite, root: Path) -> None:
        os.utime(root / "app.js", (1_672_628_645, 1_672_628_645))
        reply = ask(site, "/app.js")
        assert (reply.status, reply.body) == (200, b"plain script")
        assert reply.headers == {
            "Content-Type": "text/javascript; charset=utf-8",
            "Cache-Control": "max-age=60",
            "Accept-Ranges": "bytes",
            "ETag": f'"{1_672_628_645 * 10**9:x}-{12:x}"',
            "Last-Modified": "Mon, 02 Jan 2023 03:04:05 GMT",
            "Content-Length": "12",
        }

    def test_files_that_come_change_and_go_are_seen_by_the_next_request(self, site: StaticSite, root: Path) -> None:
        assert ask(site, "/new.txt").status == 404
        (root / "new.txt").write_text("one")
        first = ask(site, "/new.txt")
        assert first.body == b"one"
        (root / "new.txt").write_text("second")
        second = ask(site, "/new.txt")
        assert second.body == b"second"
        assert first.headers["ETag"] != second.headers["ETag"]
        (root / "new.txt").unlink()
        assert ask(site, "/new.txt").status == 404
        (root / "new.txt").mkdir()
        (root / "new.txt" / "index.html").write_text("folder")
        assert ask(site, "/new.txt").status == 301

    def test_a_root_that_comes_later_is_served_then(self, tmp_path: Path) -> None:
        site = StaticSite(tmp_path / "later", ("index.html",), 0)
        assert ask(site, "/").status == 404
        (tmp_path / "later").mkdir()
        (tmp_path / "later" / "index.html").write_text("x")
        assert ask(site, "/").body == b"x"

    def test_an_empty_file_is_an_answer(self, site: StaticSite, root: Path) -> None:
        (root / "empty.txt").touch()
        assert ask(site, "/empty.txt")[::2] == (200, b"")

    def test_a_large_file_is_not_read_at_once(self, site: StaticSite, root: Path) -> None:
        with (root / "big").open("wb") as file:
            file.truncate(2**40)
        answer = site.answer("GET", "/big", [])
        assert dict(answer.headers)[b"Content-Length"] == b"%d" % 2**40
        assert not isinstance(answer.body, bytes) and answer.body is not None
        assert answer.body.read(3) == b"\0\0\0"
        answer.body.close()

    @pytest.mark.parametrize("name", ["grüße.txt", "a b", "a%20b", "q?x", "#1", "a\\b", "x\x01", "x" * 255])
    def test_any_name_a_file_can_have_is_found(self, site: StaticSite, root: Path, name: str) -> None:
        (root / name).write_text("named")
        assert ask(site, f"/{name}").body == b"named"

    def test_a_name_that_is_no_utf8_is_found_by_its_bytes(self, site: StaticSite, root: Path) -> None:
        Path(os.fsdecode(os.fsencode(root) + b"/\xff\xfe.txt")).write_text("raw")
        assert ask(site, b"/\xff\xfe.txt".decode("utf-8", "surrogateescape")).body == b"raw"

    @pytest.mark.parametrize(
        ("name", "kind"),
        [
            ("a.html", "text/html; charset=utf-8"),
            ("A.CSS", "text/css; charset=utf-8"),
            ("a.svg", "image/svg+xml"),
            ("a.json", "application/json"),
            ("a.wasm", "application/wasm"),
            ("a.js.map", "application/json"),
            ("a.webmanifest", "application/manifest+json"),
            ("a.tar.gz", "application/gzip"),
            ("a.csv", "text/csv; charset=utf-8"),
            ("a.unknown", "application/octet-stream"),
            ("plain", "application/octet-stream"),
        ],
    )
    def test_the_name_tells_the_type(self, site: StaticSite, root: Path, name: str, kind: str) -> None:
        (root / name).touch()
        assert ask(site, f"/{name}").headers["Content-Type"] == kind

    @pytest.mark.parametrize(
        ("max_age", "text"), [(0, "no-cache"), (0.5, "no-cache"), (3600.7, "max-age=3600"), (1e9, "max-age=1000000000")]
    )
    def test_cache_control_is_the_age_or_asks_to_ask(self, root: Path, max_age: float, text: str) -> None:
        assert ask(StaticSite(root, ("index.html",), max_age), "/").headers["Cache-Control"] == text

    def test_more_files_than_are_remembered_are_answered_rightly(self, site: StaticSite, root: Path) -> None:
        for number in [*range(1100), *range(5)]:
            (root / f"{number}.txt").write_text(str(number))
            assert ask(site, f"/{number}.txt").body == str(number).encode()


class TestMethods:
    def test_head_is_answered_without_opening_a_file(self, site: StaticSite, monkeypatch: pytest.MonkeyPatch) -> None:
        get = ask(site, "/app.js")
        flags = []
        real = os.open

        def spy(path: bytes, flag: int, *, dir_fd: int | None = None) -> int:
            flags.append(flag)
            return real(path, flag, dir_fd=dir_fd)

        monkeypatch.setattr(os, "open", spy)
        head = ask(site, "/app.js", method="HEAD")
        assert (head.status, head.headers, head.body) == (200, get.headers, None)
        assert flags and all(flag & os.O_DIRECTORY for flag in flags)

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "get", "PROPFIND"])
    @pytest.mark.parametrize("path", ["/app.js", "/none", "/docs"])
    def test_other_methods_are_refused(self, site: StaticSite, method: str, path: str) -> None:
        reply = ask(site, path, method=method)
        assert (reply.status, reply.headers["Allow"]) == (405, "GET, HEAD")


class TestFolders:
    @pytest.mark.parametrize(("path", "body"), [("/", b"home"), ("", b"home"), ("/docs/", b"docs")])
    def test_a_folder_is_answered_by_its_index(self, site: StaticSite, path: str, body: bytes) -> None:
        assert ask(site, path)[::2] == (200, body)

    def test_index_names_are_tried_in_order(self, site: StaticSite, root: Path) -> None:
        (root / "docs" / "index.htm").write_text("second")
        assert ask(site, "/docs/").body == b"docs"
        (root / "docs" / "index.html").unlink()
        assert ask(site, "/docs/").body == b"second"
        (root / "docs" / "index.html").mkdir()
        assert ask(site, "/docs/").body == b"second"
        assert ask(site, "/docs").status == 301
        (root / "docs" / "index.htm").unlink()
        assert ask(site, "/docs").status == 404
        assert ask(site, "/docs/").status == 404

    def test_a_folder_without_the_last_slash_is_sent_there(self, site: StaticSite) -> None:
        reply = ask(site, "/docs", query=b"a=1")
        assert (reply.status, reply.headers["Location"]) == (301, "./docs/?a=1")

    def test_the_redirect_follows_what_the_client_asked_for(self, site: StaticSite) -> None:
        assert ask(site, "/docs", requested=b"/pages/d%6Fcs").headers["Location"] == "./d%6Fcs/"

    def test_a_client_that_is_shown_the_root_comes_to_its_slash_first(self, site: StaticSite) -> None:
        assert ask(site, "/", requested=b"/files").headers["Location"] == "./files/"
        assert ask(site, "/docs/", requested=b"/files/docs").headers["Location"] == "./docs/"
        assert ask(site, "/", requested=b"/files/").body == b"home"
        assert ask(site, "/docs/empty/", requested=b"/files/docs/empty").status == 404

    @pytest.mark.parametrize("name", ["evil.com", "a:b", "a b", "a\\b", "grüße", "a?b#c"])
    def test_the_redirect_never_leads_to_another_host(self, site: StaticSite, root: Path, name: str) -> None:
        (root / name).mkdir()
        (root / name / "index.html").touch()
        location = ask(site, f"/{name}").headers["Location"]
        assert location.startswith("./") and location.count("/") == 2
        assert not set(location) & set("\\?# ü")

    @pytest.mark.parametrize(
        "path", ["/docs/empty", "/docs/empty/", "/app.js/", "/docs/index.html/", "//docs/", "/docs//"]
    )
    def test_no_listing_is_made_and_a_file_is_no_folder(self, site: StaticSite, path: str) -> None:
        assert ask(site, path).status == 404

    @pytest.mark.parametrize("index", ["", "a/b", "..", ".", "a\0"])
    def test_an_index_that_is_no_file_name_is_an_error(self, root: Path, index: str) -> None:
        with pytest.raises(ValueError, match="an index is the name of a file"):
            StaticSite(root, (index,), 0)


class TestRefused:
    @pytest.mark.parametrize(
        "path",
        [
            "/.env",
            "/.git/config",
            "/docs/../app.js",
            "/../secret",
            "/docs/../../secret",
            "/./app.js",
            "/..",
            "/.",
            "/app.js\0",
            "/app.js\0.html",
            "/" + "x" * 256,
            "/" + "x" * 100_000,
            "/" + "d/" * 5000,
            "/docs/\ud800",
            "/none",
            "/none/none",
            "/app.js/x",
        ],
    )
    def test_what_no_client_may_know_of_does_not_exist(self, site: StaticSite, path: str) -> None:
        reply = ask(site, path)
        assert (reply.status, reply.body) == (404, b"not found\n")

    def test_links_out_of_the_root_do_not_exist_and_others_are_followed(self, site: StaticSite, root: Path) -> None:
        (root / "out").symlink_to("../secret")
        (root / "up").symlink_to("..")
        (root / "latest.js").symlink_to("app.js")
        (root / "manual").symlink_to(root / "docs")
        assert [ask(site, path).status for path in ("/out", "/up/secret", "/up", "/up/")] == [404] * 4
        assert ask(site, "/latest.js").body == b"plain script"
        assert ask(site, "/manual").status == 301
        assert ask(site, "/manual/").body == b"docs"

    def test_the_volume_of_a_container_is_served_through_its_hidden_links(self, site: StaticSite, root: Path) -> None:
        (root / "..2026").mkdir()
        (root / "..2026" / "page.html").write_text("mounted")
        (root / "..data").symlink_to("..2026")
        (root / "page.html").symlink_to("..data/page.html")
        assert ask(site, "/page.html").body == b"mounted"
        assert ask(site, "/..data/page.html").status == 404

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    def test_what_is_no_regular_file_is_refused_without_waiting(
        self, site: StaticSite, root: Path, method: str
    ) -> None:
        os.mkfifo(root / "fifo")
        assert ask(site, "/fifo", method=method).status == 404
        assert ask(StaticSite(Path("/dev"), (), 0), "/null", method=method).status == 404

    @pytest.mark.parametrize(
        ("number", "status"),
        [(errno.EMFILE, 503), (errno.ENFILE, 503), (errno.EIO, 500), (errno.EACCES, 403), (errno.ENOENT, 404)],
    )
    def test_trouble_with_the_system_is_an_answer(
        self, site: StaticSite, monkeypatch: pytest.MonkeyPatch, number: int, status: int
    ) -> None:
        def fail(*_: object, **__: object) -> int:
            raise OSError(number, os.strerror(number))

        with monkeypatch.context() as patched:
            patched.setattr(os, "open", fail)
            reply = ask(site, "/app.js")
        assert reply.status == status


@pytest.fixture
def guarded() -> Iterator[Path]:
    """A root that anyone may reach, read by a process that is not root (whom no permission stops)."""
    root = Path(tempfile.mkdtemp())
    root.chmod(0o755)
    was = os.geteuid()
    try:
        (root / "closed.txt").write_text("x")
        (root / "closed.txt").chmod(0o200)
        (root / "folder").mkdir()
        (root / "folder" / "index.html").write_text("x")
        (root / "folder").chmod(0o600)
        if was == 0:
            os.seteuid(65534)
        yield root
    finally:
        os.seteuid(was)
        (root / "folder").chmod(0o700)
        shutil.rmtree(root)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/closed.txt", "/folder/", "/folder", "/folder/index.html"])
def test_what_the_process_may_not_read_is_forbidden(guarded: Path, method: str, path: str) -> None:
    assert ask(StaticSite(guarded, ("index.html",), 0), path, method=method).status == 403


class TestCodings:
    @pytest.fixture
    def packed(self, root: Path) -> Path:
        (root / "app.js.gz").write_bytes(b"gz bytes")
        (root / "app.js.br").write_bytes(b"br")
        for name in ("app.js", "app.js.gz", "app.js.br"):
            os.utime(root / name, (1_700_000_000, 1_700_000_000))
        return root

    @pytest.mark.parametrize(
        ("accept", "coding", "body"),
        [
            ("gzip, deflate, br", "br", b"br"),
            ("gzip", "gzip", b"gz bytes"),
            ("br;q=0, gzip", "gzip", b"gz bytes"),
            ("gzip;q=0", None, b"plain script"),
            ("*", None, b"plain script"),
            ("", None, b"plain script"),
        ],
    )
    def test_the_smallest_accepted_is_sent(
        self, packed: Path, site: StaticSite, accept: str, coding: str | None, body: bytes
    ) -> None:
        reply = ask(site, "/app.js", ("Accept-Encoding", accept))
        assert (reply.status, reply.body, reply.headers.get("Content-Encoding")) == (200, body, coding)
        assert reply.headers["Vary"] == "Accept-Encoding"
        assert reply.headers["Content-Type"] == "text/javascript; charset=utf-8"

    def test_each_coding_has_its_own_tag_and_ranges(self, packed: Path, site: StaticSite) -> None:
        tags = {ask(site, "/app.js", ("Accept-Encoding", accept)).headers["ETag"] for accept in ("", "gzip", "br")}
        assert len(tags) == 3
        part = ask(site, "/app.js", ("Accept-Encoding", "gzip"), ("Range", "bytes=3-4"))
        assert (part.status, part.body, part.headers["Content-Range"]) == (206, b"by", "bytes 3-4/8")

    def test_one_that_is_older_or_larger_than_the_file_is_not_sent(self, packed: Path, site: StaticSite) -> None:
        os.utime(packed / "app.js.br", (1_699_999_999, 1_699_999_999))
        assert ask(site, "/app.js", ("Accept-Encoding", "br")).body == b"plain script"
        (packed / "app.js.gz").write_bytes(b"much larger than the script")
        assert ask(site, "/app.js", ("Accept-Encoding", "gzip")).body == b"plain script"

    def test_one_that_comes_or_goes_is_seen_by_the_next_request(self, packed: Path, site: StaticSite) -> None:
        gzip = ("Accept-Encoding", "gzip")
        (packed / "app.js.gz").unlink()
        (packed / "app.js.br").unlink()
        plain = ask(site, "/app.js", gzip)
        assert plain.body == b"plain script" and "Vary" not in plain.headers
        (packed / "app.js.gz").write_bytes(b"new")
        assert ask(site, "/app.js", gzip).body == b"new"

    def test_index_files_have_them_too(self, site: StaticSite, root: Path) -> None:
        (root / "index.html.gz").write_bytes(b"h")
        assert ask(site, "/", ("Accept-Encoding", "gzip")).body == b"h"

    def test_asked_for_by_its_name_it_is_a_file(self, packed: Path, site: StaticSite) -> None:
        reply = ask(site, "/app.js.gz")
        assert (reply.body, reply.headers["Content-Type"]) == (b"gz bytes", "application/gzip")
        assert "Content-Encoding" not in reply.headers


class TestConditionsAndRanges:
    def test_a_part_is_sent(self, site: StaticSite) -> None:
        reply = ask(site, "/app.js", ("Host", "example.org"), ("RANGE", "bytes=6-"))
        assert (reply.status, reply.body, reply.headers["Content-Range"]) == (206, b"script", "bytes 6-11/12")

    def test_a_part_that_is_not_there_is_refused(self, site: StaticSite) -> None:
        reply = ask(site, "/app.js", ("Range", "bytes=12-"))
        assert (reply.status, reply.body) == (416, b"range not satisfiable\n")
        assert reply.headers["Content-Range"] == "bytes */12"

    def test_ranges_in_two_fields_are_several_ranges(self, site: StaticSite) -> None:
        assert ask(site, "/app.js", ("Range", "bytes=0-1"), ("Range", "bytes=3-4")).status == 200

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    def test_what_the_client_has_is_not_sent_again(self, site: StaticSite, method: str) -> None:
        first = ask(site, "/app.js").headers
        by_tag = ask(site, "/app.js", ("if-none-match", '"x"'), ("If-None-Match", first["ETag"]), method=method)
        assert by_tag == (304, {"Cache-Control": "max-age=60", "ETag": first["ETag"]}, None)
        by_date = ask(site, "/app.js", ("If-Modified-Since", first["Last-Modified"]), method=method)
        assert by_date == by_tag

    def test_a_failed_precondition_is_told(self, site: StaticSite) -> None:
        assert ask(site, "/app.js", ("If-Match", '"x"'))[::2] == (412, b"precondition failed\n")


class TestReplacedMeanwhile:
    """Small files are read at once, others are opened to be read later."""

    @pytest.mark.parametrize(("step", "size"), [("read", 14), ("open", 70_000)])
    def test_the_new_file_is_sent(
        self, site: StaticSite, root: Path, monkeypatch: pytest.MonkeyPatch, step: str, size: int
    ) -> None:
        (root / "app.js").write_bytes(b"o" * (size - 1))
        real = getattr(Place, step)

        def replaced_before(*call: object) -> object:
            if not (root / "done").exists():
                (root / "done").touch()
                (root / "next").write_bytes(b"n" * size)
                (root / "next").replace(root / "app.js")
            return real(*call)

        monkeypatch.setattr(Place, step, replaced_before)
        reply = ask(site, "/app.js")
        assert (reply.body, reply.headers["Content-Length"]) == (b"n" * size, str(size))

    def test_a_file_that_is_cut_while_it_is_read_is_read_anew(
        self, site: StaticSite, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = os.pread

        def cut_before(descriptor: int, length: int, offset: int) -> bytes:
            (root / "app.js").write_bytes(b"short")
            return real(descriptor, length, offset)

        monkeypatch.setattr(os, "pread", cut_before)
        reply = ask(site, "/app.js")
        assert (reply.body, reply.headers["Content-Length"]) == (b"short", "5")

    @pytest.mark.parametrize(("step", "size"), [("read", 14), ("open", 70_000)])
    def test_a_file_that_never_stays_is_given_up(
        self, site: StaticSite, root: Path, monkeypatch: pytest.MonkeyPatch, step: str, size: int
    ) -> None:
        (root / "app.js").write_bytes(b"o" * size)
        monkeypatch.setattr(Place, step, lambda *_: None)
        before = descriptors()
        assert ask(site, "/app.js").status == 500
        assert descriptors() == before


NAMES = (b"docs", b"app.js", b"index.html", b"secret", b"up", b"out", b"www")
SEGMENTS = st.sampled_from([*NAMES, b"..", b".", b"", b"\xff", b"%2e%2e", b"..\\", b"\0"])
RAW_PATHS = st.one_of(
    st.binary(max_size=40),
    st.lists(SEGMENTS, max_size=8).map(b"/".join),
    st.lists(SEGMENTS, max_size=8).map(lambda segments: b"/" + b"/".join(segments)),
)


@given(RAW_PATHS, st.sampled_from(["GET", "HEAD"]))
def test_no_path_escapes_from_the_root_raises_or_leaks_a_descriptor(
    tree: tuple[StaticSite, Path], raw: bytes, method: str
) -> None:
    site, root = tree
    before = descriptors()
    path = raw.decode("utf-8", "surrogateescape")
    reply = read(site.answer(method, path, []))
    assert descriptors() == before
    assert reply.status in (200, 301, 404)
    if reply.status == 200:
        assert reply.body in (b"plain script", b"home", b"docs") if method == "GET" else reply.body is None
        asked = os.path.realpath(os.fsencode(root) + b"/" + raw)
        assert asked == os.fsencode(root) or asked.startswith(os.fsencode(root) + b"/")
        assert b".." not in raw.split(b"/")
    assert b"PASSWORD" not in (reply.body or b"")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> tuple[StaticSite, Path]:
    """A root with links out of it, beside a secret; shared by all examples, which only read."""
    top = tmp_path_factory.mktemp("tree").resolve()
    root = top / "www"
    (root / "docs").mkdir(parents=True)
    (root / "index.html").write_text("home")
    (root / "app.js").write_text("plain script")
    (root / "docs" / "index.html").write_text("docs")
    (top / "secret").write_text("PASSWORD")
    (root / "up").symlink_to("..")
    (root / "out").symlink_to("../secret")
    return StaticSite(root, ("index.html",), 0), root
