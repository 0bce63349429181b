"""What a file is, by its first bytes; and what is in a folder: which files are pictures, and what the others are."""

import re
from collections import Counter
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from mnist_lightning.pictures.prepare import PictureError
from mnist_lightning.runs.commands import install_command

HEAD = 1024  # bytes of a file that show what it is
BEGINNINGS = {  # of TIFF there is none: the raw files of cameras begin so too
    "PDF": re.compile(rb"\s*%PDF-"),
    "SVG": re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<[?!][^<]*>\s*)*<(?:\w+:)?svg[\s/>]"),
    "HEIC": re.compile(rb"....ftyp(?:hei[cxms]|hev[cxms]|mif1|msf1)", re.DOTALL),
    "AVIF": re.compile(rb"....ftypavi[fs]", re.DOTALL),
    "PNG": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "JPEG": re.compile(rb"\xff\xd8\xff"),
    "GIF": re.compile(rb"GIF8[79]a"),
    "WEBP": re.compile(rb"RIFF....WEBP", re.DOTALL),
    "BMP": re.compile(rb"BM....\0\0\0\0", re.DOTALL),
}
NO_PICTURES = {"EPS", "WMF", "MPEG", "HDF5", "GRIB", "BUFR"}  # Pillow knows them, and reads none by itself
HEIC_SUFFIXES = {".heic", ".heif", ".hif"}
NO_FILES = ("linked folder", "special file", "broken link")
MOST_NAMED = 6  # kinds of files that are counted one by one


class Contents(NamedTuple):
    """The files in a folder and in its folders, each in the order of their names."""

    pictures: list[Path]
    others: list[Path]


def kind_of(head: bytes) -> str | None:
    """Return what a file is that begins with `head`, of the kinds in BEGINNINGS."""
    kind = next((kind for kind, beginning in BEGINNINGS.items() if beginning.match(head)), None)
    brands = head[8 : int.from_bytes(head[:4])]  # an AVIF may say first that it is a HEIF, and then which
    return "AVIF" if kind == "HEIC" and (b"avif" in brands or b"avis" in brands) else kind


def remedy(kind: str | None, it: str = "it", can_install: bool = True) -> str | None:
    """Return what to do about a file of a kind that is not read; None where it is read, or nothing is known of it."""
    if kind == "HEIC" and not can_install:
        return f"save {it} as JPEG"
    if kind == "HEIC" and find_spec("pillow_heif") is None:
        return f"{install_command('heic')}, or save {it} as JPEG"
    return {"PDF": "save the page as PNG", "SVG": f"save {it} as PNG"}.get(kind or "")


def head_of(file: Path) -> bytes:
    """Return the first bytes of a file; none of one that is no regular file, or can't be read."""
    try:
        if file.is_file():
            with file.open("rb", buffering=0) as opened:
                return opened.read(HEAD)
    except OSError:
        pass
    return b""


def files_below(folder: str | Path) -> Contents:
    """Return what is in a folder and in its folders, but for hidden files and folders.

    Pictures are files with the suffix of one, or that begin as one of the common kinds does. Links to files are
    followed; links to folders are not, and are among the others. A folder that can't be read is a PictureError.
    """
    Image.init()
    suffixes = {suffix for suffix, name in Image.EXTENSION.items() if name in Image.OPEN.keys() - NO_PICTURES}
    contents, folders = Contents([], []), [Path(folder)]
    try:
        while folders:
            for path in folders.pop().iterdir():
                if path.name.startswith("."):
                    continue
                if path.is_dir() and not path.is_symlink():
                    folders.append(path)
                elif path.suffix.lower() in suffixes | HEIC_SUFFIXES and path.is_file():
                    contents.pictures.append(path)
                else:
                    is_picture = kind_of(head_of(path)) not in (None, "PDF", "SVG")
                    (contents.pictures if is_picture else contents.others).append(path)
    except OSError as error:
        raise PictureError(f"{error.filename}: {error.strerror}") from error
    for files in contents:
        files.sort(key=str)
    return contents


def in_words(files: Iterable[Path]) -> str:
    """Return how many files there are of each suffix, and what to do about them: "1 .svg (save it as PNG), 2 .txt"."""
    counts = Counter((label(file), kind_of(head_of(file))) for file in files)
    order = sorted(counts, key=lambda one: (remedy(one[1]) is None, -counts[one], one[0]))
    words = []
    for one in order[:MOST_NAMED]:
        what_to_do = remedy(one[1], "it" if counts[one] == 1 else "them")
        plural = "s" if counts[one] > 1 and one[0] in NO_FILES else ""
        words.append(f"{counts[one]:,} {one[0]}{plural}" + (f" ({what_to_do})" if what_to_do else ""))
    more = sum(counts[one] for one in order[MOST_NAMED:])
    return ", ".join([*words, *([f"{more:,} more"] if more else [])])


def label(file: Path) -> str:
    """Return the suffix of a file in small letters, or what else it is."""
    if not file.is_file():
        return NO_FILES[0] if file.is_dir() else NO_FILES[1] if file.exists() else NO_FILES[2]
    return file.suffix.lower() if re.fullmatch(r"\.\w{1,10}", file.suffix) else "without suffix"
