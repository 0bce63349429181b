"""Where MNIST comes from: found, checked byte for byte, or downloaded.

`python -m mnist_lightning.datasets.mnist` does just that and says where the files are.
"""

import hashlib
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnist_lightning.runs.errors import RunError

# Bytes and md5 of the four unpacked files of the MNIST database of handwritten digits (LeCun, Cortes, Burges).
# Packed with `gzip -6` they give the archives whose md5 torchvision checks.
FILES = {
    "train-images-idx3-ubyte": (47_040_016, "6bbc9ace898e44ae57da46a324031adb"),
    "train-labels-idx1-ubyte": (60_008, "a25bea736e30d166cdddb491f175f624"),
    "t10k-images-idx3-ubyte": (7_840_016, "2646ac647ad5339dbf082846283269ea"),
    "t10k-labels-idx1-ubyte": (10_008, "27ae3e4e09519cfbb04c329615203637"),
}

Arrays = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]


def load(root: str | Path, search: Sequence[str | Path] = (), may_download: bool = True) -> Arrays:
    """Return MNIST from `root`, else from one of `search`, else, where it may be, downloaded into `root`.

    Each place is laid out as torchvision does it, with the four files in MNIST/raw. The arrays are uint8: training
    images (60000, 28, 28) and labels (60000,), test images (10000, 28, 28) and labels (10000,).
    """
    folder, looked = find(root, search)
    if folder is None:
        if not may_download:
            raise RunError("MNIST was not found.", *(f"  {line}" for line in looked), "Name its folder: --data FOLDER")
        folder = download(Path(root), looked)
    train, train_labels, test, test_labels = (read(folder / name) for name in FILES)  # headers of 16 and of 8 bytes
    return train[16:].reshape(-1, 28, 28), train_labels[8:], test[16:].reshape(-1, 28, 28), test_labels[8:]


def find(root: str | Path, search: Sequence[str | Path]) -> tuple[Path | None, list[str]]:
    """Return the first folder that holds all four files, and a line for each place that does not."""
    looked: list[str] = []
    for setting, place in [("data.root", root), *(("data.search", place) for place in search)]:
        folder = Path(place) / "MNIST" / "raw"
        present = [name for name in FILES if (folder / name).exists()]
        if len(present) == len(FILES):
            return folder, looked
        looked.append(f"{setting:<12} {place}: {len(present) or 'none'} of the four files in {folder}")
    return None, looked


def read(path: Path) -> NDArray[np.uint8]:
    """Return the bytes of one of the four files, header included, once their number and md5 are right."""
    size, md5 = FILES[path.name]
    try:
        content = np.fromfile(path, np.uint8)
    except OSError as error:
        mend = "Mend its permissions, or use another copy: data.search=[FOLDER]"
        raise RunError(f"{path} can't be read: {error.strerror}. {mend}") from error
    if len(content) != size:
        damage = f"it has {len(content):,} bytes instead of {size:,}"
    elif (found := hashlib.md5(content.data, usedforsecurity=False).hexdigest()) != md5:
        damage = f"its md5 is {found} instead of {md5}"
    else:
        return content
    raise RunError(f"{path} is damaged: {damage}. Delete it and run again, or use another copy: data.root=FOLDER")


def download(root: Path, looked: list[str]) -> Path:
    """Download MNIST into `root` from torchvision's mirrors, one process at a time, and return the folder."""
    from filelock import FileLock

    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / ".mnist.lock"):
            folder, _ = find(root, [])  # another process may have been faster
            return folder or fetch(root)
    except (OSError, RuntimeError) as error:
        raise RunError(
            "MNIST was not found, and can't be downloaded.", *(f"  {line}" for line in looked),
            f"  download     into {root}: {error}",
            "Put the four files there, name a folder that has them (data.search=[FOLDER]), or train without network on "
            "the small bundled digits:", "  python train.py data=digits",
        ) from error  # fmt: skip


def fetch(root: Path) -> Path:
    """Download beside the goal and move whole files there: an interrupted download leaves nothing behind."""
    import socket

    from torchvision.datasets import MNIST

    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True, exist_ok=True)
    socket.setdefaulttimeout(30)  # seconds without a byte; torchvision sets none and would wait for ever
    with tempfile.TemporaryDirectory(dir=root, prefix=".download-") as scratch:
        MNIST(scratch, download=True)
        for path in [Path(scratch, "MNIST", "raw", name) for name in FILES]:
            read(path)
            path.replace(folder / path.name)
    return folder


def places() -> tuple[str, list[str]]:
    """Return root and search of conf/data/mnist.yaml."""
    import yaml

    settings = yaml.safe_load((Path(__file__).parents[2] / "conf" / "data" / "mnist.yaml").read_text("utf-8"))
    return settings["root"], settings["search"]


def main() -> int:
    """Find, check or download MNIST with the places of conf/data/mnist.yaml; exit status 1 where it can't be had."""
    try:
        load(*places())
    except RunError as error:
        print(error, file=sys.stderr)
        return error.status
    print(f"MNIST: all four files are right, in {find(*places())[0]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
