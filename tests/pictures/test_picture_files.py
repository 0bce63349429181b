"""A picture's file, read: exact pixels in, exact greys out, and one message for what can't be read."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mnist_lightning.pictures import picture_files
from mnist_lightning.pictures.picture_files import read_picture
from mnist_lightning.pictures.prepare import PictureError


def written(picture: Image.Image, kind: str = "PNG", **options: object) -> io.BytesIO:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    file.seek(0)
    return file


def test_a_large_picture_is_averaged_down_to_512() -> None:
    columns = np.tile(np.array([0, 100], np.uint8), (600, 512))  # 1024 wide
    read = read_picture(written(Image.fromarray(columns)))
    assert (read.shape, read.dtype) == ((300, 512), np.uint8)
    assert np.unique(read).tolist() == [50]
    assert read_picture(written(Image.new("L", (512, 30), 9))).shape == (30, 512)


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
    with pytest.raises(PictureError, match="a folder without pictures"):
        picture_files.read_bytes(tmp_path)
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


def test_pictures_of_a_folder_are_found_in_order(tmp_path: Path) -> None:
    for name in ("b.png", "a/2.JPG", "a/1.jpeg", ".hidden.png", "notes.txt", "folder.png/c.bmp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = [str(path.relative_to(tmp_path)) for path in picture_files.files_below(tmp_path)]
    assert found == ["a/1.jpeg", "a/2.JPG", "b.png", "folder.png/c.bmp"]
