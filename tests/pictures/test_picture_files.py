"""A picture's file, read: exact pixels in, exact greys out, and one message for what can't be read."""

import io
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from conftest import environment
from PIL import Image, features

from mnist_lightning.pictures import contents, picture_files
from mnist_lightning.pictures.picture_files import read_picture
from mnist_lightning.pictures.prepare import PictureError


def written(picture: Image.Image, kind: str = "PNG", **options: object) -> io.BytesIO:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    file.seek(0)
    return file


def test_a_large_picture_is_averaged_down_to_384() -> None:
    columns = np.tile(np.array([0, 100], np.uint8), (600, 384))  # 768 wide
    read = read_picture(written(Image.fromarray(columns)))
    assert (read.shape, read.dtype) == ((300, 384), np.uint8)
    assert np.unique(read).tolist() == [50]
    assert read_picture(written(Image.new("L", (384, 30), 9))).shape == (30, 384)


def test_the_most_that_is_read() -> None:
    picture = Image.new("L", (10, 10), 9)
    assert read_picture(written(picture), most_pixels=100).shape == (10, 10)
    with pytest.raises(PictureError, match="more than 99 pixels: make it smaller"):
        read_picture(written(picture), most_pixels=99)


def test_files_are_neither_empty_nor_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_files, "MOST_BYTES", 10)
    file = tmp_path / "file"
    file.write_bytes(b"0123456789")
    assert (
        picture_files.read_bytes(file)
        == picture_files.read_bytes(str(file))
        == picture_files.read_bytes(io.BytesIO(b"0123456789"))
        == b"0123456789"
    )
    for content, why in ((b"0123456789a", "more than 10 bytes: make it smaller"), (b"", "empty: there is nothing")):
        with pytest.raises(PictureError, match=why):
            picture_files.read_bytes(io.BytesIO(content))
    with pytest.raises(PictureError, match=r"a folder without pictures: it has 1 without suffix$"):
        picture_files.read_bytes(tmp_path)
    (tmp_path / "picture.png").touch()
    with pytest.raises(PictureError, match="a folder: name its pictures"):
        picture_files.read_bytes(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(PictureError, match="a folder without pictures: it is empty"):
        picture_files.read_bytes(tmp_path / "empty")
    with pytest.raises(PictureError, match="No such file or directory"):
        picture_files.read_bytes(tmp_path / "nowhere")


def test_what_is_no_picture_is_said() -> None:
    whole = written(Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8))).getvalue()
    with pytest.raises(PictureError, match=r"^damaged: "):
        read_picture(io.BytesIO(whole[:2000]))
    with pytest.raises(PictureError, match="not a picture that can be read"):
        read_picture(io.BytesIO(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"))
    with pytest.raises(PictureError, match="not a picture that can be read"):
        read_picture(io.BytesIO(whole), formats=["JPEG"])
    assert read_picture(io.BytesIO(whole), formats=["PNG"]).shape == (64, 64)


def test_a_photograph_taken_sideways_is_turned() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned to the right
    file = written(Image.fromarray(np.array([[0, 90, 255]], np.uint8)), exif=exif)
    assert read_picture(file).tolist() == [[0], [90], [255]]


def test_pictures_in_colour_are_fitted_to_a_shape() -> None:
    flag = np.zeros((20, 60, 4), np.uint8)
    flag[..., 3] = 255
    flag[:, :20], flag[:, 40:] = (255, 0, 0, 255), (0, 0, 255, 255)  # at the sides, and cut off
    flag[:10, 20:40] = 0  # transparent
    in_colour = read_picture(written(Image.fromarray(flag)), shape=(3, 10, 10))
    assert in_colour.shape == (3, 10, 10) and in_colour.flags.c_contiguous
    assert (in_colour[:, 2, 5].tolist(), in_colour[:, 7, 5].tolist()) == ([255] * 3, [0] * 3)
    in_grey = read_picture(written(Image.fromarray(flag)), shape=(1, 20, 60))
    assert in_grey.shape == (20, 60)
    assert (in_grey[0, 5], in_grey[0, 30], in_grey[19, 30], in_grey[19, 55]) == (76, 255, 0, 29)
    deep = Image.fromarray(np.full((20, 20), 24576, np.uint16))
    assert np.unique(read_picture(written(deep), shape=(3, 10, 10))).tolist() == [191]
    with pytest.raises(PictureError, match="takes images of 2 channels"):
        read_picture(written(deep), shape=(2, 10, 10))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"%PDF-1.7\n%%EOF", "is a PDF: save the page as PNG"),
        (b"<?xml version='1.0'?><svg/>", "is an SVG drawing: save it as PNG"),
    ],
)
def test_what_has_to_be_drawn_first_is_said(content: bytes, why: str) -> None:
    with pytest.raises(PictureError, match=f"^{why}$"):
        read_picture(io.BytesIO(content))


BLOCKS = [(0, 0), (20, 0), (0, 20), (20, 20)]  # of 20×20, upper left corners


def moving(kind: str, **options: object) -> io.BytesIO:
    """Return white paper that four black squares come onto, one a frame."""
    frames = [Image.new("RGBA", (40, 40), "white")]
    for corner in BLOCKS:
        frames.append(frames[-1].copy())
        frames[-1].paste("black", (*corner, corner[0] + 20, corner[1] + 20))
        frames[-1].paste("white", (corner[0], corner[1], corner[0] + 2, corner[1] + 2))  # no two frames are alike
    return written(frames[0], kind, save_all=True, append_images=frames[1:-1], duration=50, **options)


@pytest.mark.parametrize(
    ("kind", "options"),
    [("GIF", {}), ("GIF", {"disposal": 1}), ("GIF", {"disposal": 2}), ("PNG", {}),
     ("PNG", {"disposal": 1, "blend": 1}), ("WEBP", {"lossless": True}), ("AVIF", {"quality": 100})],
)  # fmt: skip
def test_of_a_picture_that_moves_the_last_frame_is_read(kind: str, options: dict[str, object]) -> None:
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    file = moving(kind, **options)
    with Image.open(file) as whole:
        assert whole.n_frames == 4  # type: ignore[attr-defined]
    file.seek(0)
    in_grey = read_picture(file)
    file.seek(0)
    in_colour = read_picture(file, shape=(3, 40, 40))
    for x, y in BLOCKS:
        inside = (slice(y + 4, y + 16), slice(x + 4, x + 16))
        expected = 255 if (x, y) == BLOCKS[-1] else 0
        assert abs(in_grey[inside].astype(int) - expected).max() <= 2, (x, y)
        assert abs(in_colour[0][inside].astype(int) - expected).max() <= 2, (x, y)


def gif(*frames: tuple[int, int, int, int]) -> io.BytesIO:
    """Return a GIF of 30×10, by the left edge, width and grey of each frame, and what becomes of it."""
    content = b"GIF89a" + bytes([30, 0, 10, 0, 0, 0, 0])
    for left, width, grey, disposal in frames:
        picture = Image.new("P", (width, 10))
        picture.putpalette([grey] * 3)
        alone = written(picture, "GIF").getvalue()
        colours, data = alone[13 : 13 + 6], alone[alone.index(b",", 13) + 10 : -1]
        content += b"!\xf9\x04" + bytes([disposal << 2, 5, 0, 0, 0])
        content += b"," + bytes([left, 0, 0, 0, width, 0, 10, 0, 0x80]) + colours + data
    return io.BytesIO(content + b";")


@pytest.mark.parametrize(
    ("disposal", "left"),
    [(0, 0), (1, 0), (3, 255)],
    ids=["unsaid", "kept", "to what was before"],
)
def test_a_frame_is_drawn_on_what_is_left_of_those_before(disposal: int, left: int) -> None:
    """As GIFs that are made to be small have them: only what changes."""
    greys = read_picture(gif((0, 30, 255, 1), (0, 10, 0, disposal), (20, 10, 90, 1)))
    assert [np.unique(greys[:, column : column + 10]).tolist() for column in (0, 10, 20)] == [[left], [255], [90]]


def test_of_several_pages_the_first_is_read() -> None:
    pages = [Image.new("L", (10, 10), 90), Image.new("L", (10, 10), 10)]
    assert np.unique(read_picture(written(pages[0], "TIFF", save_all=True, append_images=pages[1:]))) == [90]


def test_frames_are_read_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four frames of 40×40 have 6,400 pixels; of small ones each counts as much as its time."""
    with pytest.raises(PictureError, match="more than 1,599 pixels: make it smaller"):
        read_picture(moving("GIF"), most_pixels=1599)
    with pytest.raises(PictureError, match="more than 8,000 pixels in all its frames: save the last one as PNG"):
        read_picture(moving("GIF"), most_pixels=1600)
    monkeypatch.setattr(picture_files, "LEAST_FRAME", 1)
    monkeypatch.setattr(picture_files, "MOST_MOVED", 4)
    assert read_picture(moving("GIF"), most_pixels=1600).shape == (40, 40)
    monkeypatch.setattr(picture_files, "MOST_MOVED", 3.99)
    with pytest.raises(PictureError, match=r"more than 6,384\.0 pixels in all its frames"):
        read_picture(moving("GIF"), most_pixels=1600)


def test_a_frame_larger_than_its_picture_is_measured() -> None:
    large = written(Image.new("L", (3000, 3000)), "GIF").getvalue()
    frame = large[large.index(b",") : -1]
    small = written(Image.new("L", (1, 1)), "GIF").getvalue()
    with pytest.raises(PictureError, match="more than 1,000,000 pixels: make it smaller"):
        read_picture(io.BytesIO(small[:-1] + frame + b";"), most_pixels=1_000_000)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_a_cut_picture_that_moves_is_damaged_or_ends_early(kind: str) -> None:
    whole = moving(kind).getvalue()
    for length in range(len(whole) // 4, len(whole), 7):
        try:
            assert read_picture(io.BytesIO(whole[:length])).shape == (40, 40)
        except PictureError as error:
            assert "\n" not in str(error)


def test_heic_is_read_by_its_extra_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "find_spec", lambda name: None)
    head = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
    with pytest.raises(
        PictureError, match=r"^is a HEIC picture: python -m pip install 'pillow-heif>=.*, or save it as"
    ):
        read_picture(io.BytesIO(head))
    with pytest.raises(PictureError, match=r"^is a HEIC picture: save it as JPEG$"):
        read_picture(io.BytesIO(head), formats=["PNG"])


FIRST = """
import sys
from mnist_lightning.pictures.picture_files import read_picture
print(read_picture(sys.argv[1]).shape, "pillow_heif" in sys.modules)
"""


def test_the_first_picture_may_be_of_any_kind_and_heic_is_loaded_for_heic_alone(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    Image.new("L", (8, 9)).save(tmp_path / "first.tiff")
    command = [sys.executable, "-c", FIRST, str(tmp_path / "first.tiff")]
    ended = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.stderr) == ("(9, 8) False\n", "")
    (tmp_path / "first.heic").write_bytes(request.getfixturevalue("heic"))
    command[-1] = str(tmp_path / "first.heic")
    ended = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.stderr) == ("(100, 200) True\n", "")


@pytest.fixture
def heic() -> bytes:
    """A sheet that is black on the left, as a telephone that was held upright stores it: turned, and a note of that."""
    heif = pytest.importorskip("pillow_heif", reason="the extra `heic` is not installed")
    sheet = Image.new("RGB", (200, 100), "white")
    sheet.paste("black", (0, 0, 100, 100))
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    heif.from_pillow(sheet.rotate(90, expand=True)).save(file, quality=90, exif=exif.tobytes())
    return file.getvalue()


def test_heic_is_read_upright(heic: bytes) -> None:
    greys = read_picture(io.BytesIO(heic))
    assert greys.shape == (100, 200)
    assert greys[:, :90].max() < 10 and greys[:, 110:].min() > 245
    assert read_picture(io.BytesIO(heic), shape=(3, 32, 32)).shape == (3, 32, 32)
    with pytest.raises(PictureError, match="more than 19,999 pixels: make it smaller"):
        read_picture(io.BytesIO(heic), most_pixels=19_999)


def test_damaged_heic_is_said(heic: bytes) -> None:
    for length in (24, 200, len(heic) - 40):
        with pytest.raises(PictureError, match=r"^damaged: .*[^\s]$"):
            read_picture(io.BytesIO(heic[:length]))
    noise = np.random.default_rng(0)
    for _ in range(50):
        content = bytearray(heic)
        for place in noise.integers(24, len(heic), 5):
            content[place] = noise.integers(256)
        with suppress(PictureError):
            read_picture(io.BytesIO(bytes(content)))
