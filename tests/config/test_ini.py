"""The reader of INI text: what each line is, where it stands, and what it refuses."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wsgate.config.ini import Document, Entry, read


def entries(text: str) -> dict[str, Entry]:
    document = read(text)
    assert document.faults == []
    (section,) = document.sections
    return section.entries


def rows(entry: Entry) -> list[tuple[int, str]]:
    return [(row.line, row.text) for row in entry.rows]


def reasons(document: Document) -> list[tuple[int, str]]:
    return [(fault.line, fault.reason.partition(":")[0]) for fault in document.faults]


def test_sections_and_options_keep_their_order_and_lines() -> None:
    document = read("\n[gateway]\na = 1\n\n[ listener   web ]\nb=2\nc =\n")
    assert [(s.kind, s.name, s.line, s.header) for s in document.sections] == [
        ("gateway", "", 2, "[gateway]"),
        ("listener", "web", 5, "[listener web]"),
    ]
    assert [(e.name, e.line, e.text) for s in document.sections for e in s.entries.values()] == [
        ("a", 3, "1"),
        ("b", 6, "2"),
        ("c", 7, ""),
    ]


def test_only_the_first_equals_sign_divides() -> None:
    assert entries("[s]\npath = = /x?a=b")["path"].text == "= /x?a=b"


def test_comments_are_lines_and_what_is_behind_a_blank_and_a_semicolon() -> None:
    text = "; one\n# two\n[s] ; three\n  ; four\na = 1;2#3 # 4 ; five\nb = ; six\nc = https://x/#y\n"
    assert {name: entry.text for name, entry in entries(text).items()} == {
        "a": "1;2#3 # 4",
        "b": "",
        "c": "https://x/#y",
    }


def test_deeper_lines_continue_a_value_across_comments_and_empty_lines() -> None:
    read_entries = entries("[s]\nlist = one ; first\n    two\n\n; remark\n\tthree = 3\nnext = 4\n")
    assert rows(read_entries["list"]) == [(2, "one"), (3, "two"), (6, "three = 3")]
    assert read_entries["list"].text == "one\ntwo\nthree = 3"
    assert rows(read_entries["next"]) == [(7, "4")]


def test_options_may_be_indented_and_their_continuations_deeper() -> None:
    read_entries = entries("[s]\n  a = 1\n  b =\n      2\n  c = 3\n d = 4\n")
    assert {name: rows(entry) for name, entry in read_entries.items()} == {
        "a": [(2, "1")],
        "b": [(4, "2")],
        "c": [(5, "3")],
        "d": [(6, "4")],
    }


def test_an_address_in_brackets_may_continue_a_list() -> None:
    assert rows(entries("[s]\nbind =\n  [::1]:80\n")["bind"]) == [(3, "[::1]:80")]


def test_a_header_ends_the_value_before_it() -> None:
    document = read("[a]\nx = 1\n[b]\n   y = 2\n")
    assert [(s.kind, {e.name: e.text for e in s.entries.values()}) for s in document.sections] == [
        ("a", {"x": "1"}),
        ("b", {"y": "2"}),
    ]


def test_a_second_option_of_a_name_is_a_fault_and_the_first_stays() -> None:
    document = read("[s]\na = 1\na = 2\n  3\n")
    assert reasons(document) == [(3, "given twice, first in line 2")]
    assert document.sections[0].entries["a"].text == "1"


def test_a_stray_line_is_a_fault_and_takes_its_continuations_along() -> None:
    document = read("[s]\na = 1\nstray\n  more\n")
    assert reasons(document) == [(3, "expected NAME = VALUE, a [header], or a deeper indented continuation")]
    assert document.sections[0].entries["a"].text == "1"


def test_an_option_before_any_section_is_a_fault() -> None:
    assert reasons(read("a = 1\n[s]\n")) == [(1, "an option outside of a section")]


def test_broken_headers_are_faults_and_their_options_are_kept_where_the_kind_is_clear() -> None:
    document = read("[a b c]\nx = 1\n[d\ny = 2\n[]\nz = 3\n[[e]]\n[f] g\n")
    assert [line for line, _ in reasons(document)] == [1, 3, 5, 7, 8]
    assert [(s.kind, s.name, list(s.entries)) for s in document.sections][:2] == [("a", "b", ["x"]), ("d", "", ["y"])]


def test_control_characters_are_faults() -> None:
    document = read("[s]\na = 1\x00\nb = \x1b[31mred\nc = 4\u2028\nd = 5\n")
    assert [line for line, _ in reasons(document)] == [2, 3, 4]
    assert list(document.sections[0].entries) == ["d"]


def test_a_byte_order_mark_and_windows_line_ends_are_not_content() -> None:
    assert rows(entries("\ufeff[s]\r\na = 1\r\n")["a"]) == [(2, "1")]


LINES = st.lists(st.text(alphabet=" \t[];#=ab,\r\x00é", max_size=12), max_size=12).map("\n".join)


@given(LINES)
def test_no_text_escapes_and_every_line_is_counted_as_editors_do(text: str) -> None:
    document = read(text)
    lines = text.split("\n")
    for section in document.sections:
        assert lines[section.line - 1].strip().startswith("[")
        for entry in section.entries.values():
            assert lines[entry.line - 1].strip().startswith(entry.name)
            for row in entry.rows:
                assert row.text in lines[row.line - 1]
    for fault in document.faults:
        assert fault.text in lines[fault.line - 1]


@given(
    st.dictionaries(
        st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True),
        st.lists(st.from_regex(r"[!-:<-~]([ -:<-~]*[!-:<-~])?", fullmatch=True), min_size=1, max_size=3),
    )
)
def test_what_is_written_is_read(options: dict[str, list[str]]) -> None:
    options = {name: [row for row in values if row[0] not in "#"] or ["x"] for name, values in options.items()}
    text = "[s x]\n" + "".join(f"{name} =\n  " + "\n  ".join(values) + "\n" for name, values in options.items())
    assert {name: entry.text.split("\n") for name, entry in entries(text).items()} == options
