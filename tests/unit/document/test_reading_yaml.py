"""YAML is read strictly, with positions, and never with surprises."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.document.yamlfile import LARGEST_FILE, Document, read_document

Write = Callable[[str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def to(content: str | bytes) -> Path:
        file = tmp_path / "it.yaml"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file

    return to


def read(file: Path, **environment: str) -> Document:
    return read_document(file, environment)


def said(document: Document) -> str:
    return "\n".join(map(str, document.problems))


@pytest.mark.parametrize(
    "text", ["no", "yes", "012", "0x10", "1e3", "2024-01-02", "1:30", "1.0", "off", "=", ".inf"]
)
def test_a_plain_scalar_stays_the_text_it_is(write: Write, text: str) -> None:
    assert read(write(f"key: {text}")).content == {"key": text}


@pytest.mark.parametrize("text", ["", "~", "null", "Null", "NULL"])
def test_nothing_is_nothing_and_quoted_it_is_text(write: Write, text: str) -> None:
    assert read(write(f"a: {text}\nb: '{text}'")).content == {"a": None, "b": text}


def test_every_key_and_item_has_its_line(write: Write) -> None:
    document = read(write("# a comment\na:\n  b: 1\n  c:\n    - x\n    - {d: y}\n"))
    assert document.line(("a",)) == 2
    assert document.line(("a", "b")) == 3
    assert document.line(("a", "c", 1, "d")) == 6
    assert document.line(("a", "missing")) == 2


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "is empty"),
        ("# only a comment\n", "is empty"),
        ("{}", "is empty"),
        ("just words", ":1: must be a mapping"),
        ("- a\n- b", ":1: must be a mapping"),
        ("a: 1\n---\nb: 2", ":2: a second document begins here"),
        ("a: 1\nb: [2\n", "is not YAML"),
        ("a:\n\tb: 1", ":2: is not YAML: while scanning for the next token"),
        ("a:\n\tb: 1", "indent with spaces, not tabs"),
        ("a: 'open", "is not YAML"),
        ("routes:\n  - {path: /v2/courses/{id}, module: courses}", "a path with {name} must be quoted"),
        ("a: 1\na: 2", ":2: a: is given twice, first on line 1"),
        ("a: &x 1\nb: 2", ":1: a: anchors (&x) are not used here"),
        ("a: &x 1\nb: *x", ":2: b: aliases (*x) are not used here"),
        ("a: !!python/object/apply:os.system ['true']", ":1: a: tags (!…) are not used here"),
        ("a: !!binary aGk=", "tags (!…) are not used here"),
        ("? [x, y]\n: 1", "a key must be a word"),
        ("a: {{b}: c}", "a key must be a word"),
        (b"\x80\x81\xfe\xff" * 40, ":1: is not UTF-8 text"),
        ("é".encode("utf-16"), "is not UTF-8 text"),
        (b"ok: 1\nbad: \x00\x01", ":2: holds the character U+0000"),
        ("a: \x1b[2J", "holds the character U+001B"),
        ("a: \ue000NAME\ue001", "holds the character U+E000"),
        ("[" * 100_000, "must be a mapping"),
        ("a: " * 60, "is not YAML"),
        ("x: " + "[" * 3000 + "]" * 3000, "is nested deeper"),
    ],
)
def test_a_bad_file_is_told_and_never_raises(write: Write, content: str | bytes, complaint: str) -> None:
    assert complaint in said(read(write(content)))


def test_a_bomb_of_aliases_stays_small(write: Write) -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    document = read(write("\n".join(lines)))
    assert "aliases" in said(document)
    assert document.content["a29"] == [None] * 9


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "huge.yaml"
    with file.open("wb") as out:
        out.truncate(50 << 20)
    assert f"is larger than {LARGEST_FILE >> 20} MiB" in said(read(file))


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "there is no such file" in said(read(tmp_path / "none.yaml"))
    assert "is not a file" in said(read(tmp_path))
    assert "is not a file" in said(read(tmp_path / "pipe"))
    assert "cannot be read" in said(read(tmp_path / "nul\0byte"))
    assert "cannot be read" in said(read(tmp_path / ("long" * 200)))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_told(write: Write) -> None:
    file = write("a: 1")
    file.chmod(0)
    assert "cannot be read: Permission denied" in said(read(file))


def test_a_byte_order_mark_and_crlf_do_no_harm(write: Write) -> None:
    assert read(write(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")).content == {"a": "1", "b": "2"}


def test_a_variable_is_taken_from_the_environment_even_inside_braces(write: Write) -> None:
    document = read(write("a: {b: ${X}, c: 'pre-${X}-${Y}'}"), X="1", Y="2")
    assert document.content == {"a": {"b": "1", "c": "pre-1-2"}}
    assert document.from_environment == {("a", "b"), ("a", "c")}


def test_a_variable_never_becomes_structure(write: Write) -> None:
    document = read(write("a: ${X}"), X="{b: c}\nd: e # ${X}")
    assert document.content == {"a": "{b: c}\nd: e # ${X}"}


def test_all_missing_variables_are_told_with_their_lines(write: Write) -> None:
    document = read(write("a: ${ONE}\nb: [x, ${TWO}]\nc: ${not a name}\nd: ${}"))
    assert said(document).splitlines() == [
        f"{document.file}:1: a: the environment variable ONE is not set; set ONE",
        f"{document.file}:2: b[1]: the environment variable TWO is not set; set TWO",
        f"{document.file}:3: c: ${{not a name}} does not name an environment variable; write ${{NAME}}",
        f"{document.file}:4: d: ${{}} does not name an environment variable; write ${{NAME}}",
    ]


def test_a_variable_in_a_comment_or_a_key_is_left_alone(write: Write) -> None:
    assert read(write("a: 1 # ${NONE}\n${NONE}: 2")).content == {"a": "1", "${NONE}": "2"}


def test_without_an_environment_a_dollar_is_a_dollar(write: Write) -> None:
    assert read_document(write("a: x${B}"), None).content == {"a": "x${B}"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(st.binary(max_size=80), st.text("a:-[]{}&*!|>'\"%@` \n\t#?,$~", max_size=60).map(str.encode))
)
def test_any_bytes_are_content_or_a_problem(tmp_path: Path, raw: bytes) -> None:
    file = tmp_path / "any.yaml"
    file.write_bytes(raw)
    document = read(file)
    assert document.content or document.problems
