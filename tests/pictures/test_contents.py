"""What a file is, and what is in a folder, by first bytes and names."""

import io
import os
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image, features

from mnist_lightning.pictures import contents
from mnist_lightning.pictures.contents import HEAD, files_below, in_words, kind_of, remedy
from mnist_lightning.pictures.prepare import PictureError
from mnist_lightning.runs.commands import install_command

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "AVIF"])
def test_the_common_kinds_are_known_by_their_first_bytes(kind: str) -> None:
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    file = io.BytesIO()
    Image.new("RGB", (20, 20)).save(file, kind)
    assert kind_of(file.getvalue()[:HEAD]) == kind


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (HEIC, "HEIC"),
        (HEIC.replace(b"heic", b"mif1", 1), "HEIC"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0avifmif1", "AVIF"),
        (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", None),
        (b"%PDF-1.7\n", "PDF"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'>", "SVG"),
        (b"<!DOCTYPE html><html><svg>", None),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- a 7 -->\n<svg:svg>", "SVG"),
        (b"<!--" * 200, None),
        (b"<html><p>svg", None),
        (b"BMW is a car", None),
        (b"II*\0 a camera's raw file", None),
        (b"a text", None),
        (b"", None),
    ],
)
def test_a_kind_is_not_guessed(head: bytes, kind: str | None) -> None:
    assert kind_of(head) == kind


def scene(folder: Path) -> None:
    for name in (
        "b.png",
        "a/2.JPG",
        "x.heic",
        ".hidden.png",
        ".git/c.png",
        "notes.txt",
        "more.TXT",
        "folder.png/c.bmp",
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"")
    (folder / "seven.svg").write_bytes(b"<svg>")
    (folder / "form.pdf").write_bytes(b"%PDF-1.7")
    (folder / "LICENSE").write_bytes(b"text")
    Image.new("L", (9, 9)).save(folder / "photo.download", "JPEG")


def test_pictures_are_found_in_order_and_the_others_are_counted(tmp_path: Path) -> None:
    scene(tmp_path)
    found = files_below(tmp_path)
    assert [str(path.relative_to(tmp_path)) for path in found.pictures] == [
        "a/2.JPG", "b.png", "folder.png/c.bmp", "photo.download", "x.heic"
    ]  # fmt: skip
    assert in_words(found.others) == (
        "1 .pdf (save the page as PNG), 1 .svg (save it as PNG), 2 .txt, 1 without suffix"
    )
    assert in_words([tmp_path / "seven.svg"] * 2) == "2 .svg (save them as PNG)"


def test_what_is_no_file_does_not_stop_it(tmp_path: Path) -> None:
    """Nothing of it is opened: a pipe would never end, nor a device, nor a loop of links."""
    os.mkfifo(tmp_path / "pipe.png")
    for name, target in (
        ("zero.png", "/dev/zero"),
        ("gone.png", "nowhere"),
        ("itself.png", "itself.png"),
        ("up", ".."),
    ):
        (tmp_path / name).symlink_to(target)
    found = files_below(tmp_path)
    assert found.pictures == []
    assert in_words(found.others) == "2 broken links, 2 special files, 1 linked folder"


def test_odd_names_are_counted_together(tmp_path: Path) -> None:
    names = [f"{number}.{kind}" for kind in range(9) for number in range(kind + 1)] + ["a.b\nc", "d.sixteen_letters"]
    for name in names:
        (tmp_path / name).touch()
    assert in_words(files_below(tmp_path).others) == "9 .8, 8 .7, 7 .6, 6 .5, 5 .4, 4 .3, 8 more"


def test_ten_thousand_files_are_looked_at_in_seconds(tmp_path: Path) -> None:
    for number in range(10_000):
        (tmp_path / f"{number}.txt").write_bytes(b"x")
    before = time.process_time()
    assert in_words(files_below(tmp_path).others) == "10,000 .txt"
    assert time.process_time() - before < 10


def test_a_folder_that_cannot_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: Path) -> None:
        raise PermissionError(13, "Permission denied", f"{folder}/private")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(PictureError, match="/private: Permission denied"):
        files_below(tmp_path)


def test_heic_needs_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (remedy("HEIC") is None) == (find_spec("pillow_heif") is not None)
    monkeypatch.setattr(contents, "find_spec", lambda name: None)
    assert remedy("HEIC") == f"{install_command('heic')}, or save it as JPEG"
    assert remedy("HEIC", can_install=False) == "save it as JPEG"
