"""Each file of a configuration is read once, and what was handed over stands before what the disk has."""

from pathlib import Path

import pytest

from gateway.document.files import Files
from gateway.document.yamlfile import read_document


def test_a_file_is_read_once_whatever_becomes_of_it(tmp_path: Path) -> None:
    file, files = tmp_path / "a.yaml", Files()
    file.write_text("first: 1\n")
    assert files.read(file, 100) == b"first: 1\n"
    file.write_text("second: 2\n")
    assert files.read(file, 100) == b"first: 1\n"
    file.unlink()
    assert files.read(file, 100) == b"first: 1\n"


def test_what_was_handed_over_stands_before_what_the_disk_has(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("spoilt: [")
    document = read_document(file, {}, Files({str(file): "good: ü\n"}))
    assert (document.content, document.problems) == ({"good": "ü"}, [])


def test_what_was_read_can_be_handed_over(tmp_path: Path) -> None:
    file, files = tmp_path / "a.yaml", Files()
    file.write_bytes(b"\xef\xbb\xbfgood: \xc3\xbc\n")
    assert read_document(file, {}, files).content == {"good": "ü"}
    assert files.texts() == {str(file): "good: ü\n"}
    assert read_document(file, {}, Files(files.texts())).content == {"good": "ü"}


def test_a_relative_path_is_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text("good: 1\n")
    files = Files()
    files.read(Path("a.yaml"), 100)
    assert files.texts().keys() == {str(tmp_path / "a.yaml")}


def test_what_cannot_be_read_is_not_kept(tmp_path: Path) -> None:
    file, files = tmp_path / "a.yaml", Files()
    with pytest.raises(FileNotFoundError):
        files.read(file, 100)
    assert files.read(tmp_path, 100) is None
    file.write_text("good: 1\n")
    assert files.read(file, 100) == b"good: 1\n"
