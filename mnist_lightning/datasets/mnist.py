"""MNIST and the data sets of its format: found, checked byte for byte, or downloaded.

`python -m mnist_lightning.datasets.mnist` does just that for MNIST and says where the files are.
"""

import gzip
import hashlib
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_lightning.datasets.source import DIGITS, Arrays, Source
from mnist_lightning.runs.commands import PROJECT, from_checkout
from mnist_lightning.runs.errors import RunError, one_line

# The md5 of the unpacked files of MNIST; packed with `gzip -6` they give the archives whose md5 torchvision checks.
FILES = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}


class MNIST(Source):
    """The MNIST database of handwritten digits: LeCun, Cortes, Burges.

    Args:
        root: holds the four files in MNIST/raw, as torchvision lays it out, or itself; packed or not, also by the names
            that Kaggle gives them. Where they are missing, they are downloaded.
        search: further places to look in first.
    """

    classes: Sequence[str] = DIGITS
    shape, train_size, test_size, is_handwriting = (1, 28, 28), 60_000, 10_000, True
    md5: Mapping[str, str] = FILES  # of the unpacked files, where it is known; else the packed ones are read

    def __init__(self, root: str = "data", search: Sequence[str] = ()) -> None:
        self.root, self.search, self.name = root, search, type(self).__name__

    def read(self, may_download: bool = True) -> Arrays:
        folder, looked = self.find()
        if folder is None:
            if not may_download:
                lines = [f"  {line}" for line in looked]
                raise RunError(f"{self.name} was not found.", *lines, "Name its folder: --data FOLDER")
            folder = self.download(looked)
        train, train_labels, test, test_labels = (self.read_file(folder, name) for name in FILES)
        side = self.shape[1:]  # headers have 16 and 8 bytes
        return train[16:].reshape(-1, *side), train_labels[8:], test[16:].reshape(-1, *side), test_labels[8:]

    def find(self) -> tuple[Path | None, list[str]]:
        """Return the first folder that holds all four files, and a line for each place that does not."""
        looked: list[str] = []
        for setting, place in [("data.root", self.root), *(("data.search", place) for place in self.search)]:
            for folder in (Path(place), laid_out := Path(place) / self.name / "raw"):
                present = [name for name in FILES if any(path.exists() for path in self.forms(folder, name))]
                if len(present) == len(FILES):
                    return folder, looked
            looked.append(f"{setting:<12} {place}: {len(present) or 'none'} of the four files in {laid_out}")
        return None, looked

    def forms(self, folder: Path, name: str) -> list[Path]:
        """Return the file unpacked and packed, first the one whose md5 is known."""
        plain = [folder / name, folder / name.replace("-idx", ".idx")]  # torchvision's name, and Kaggle's
        packed = [folder / f"{name}.gz"]
        return [*plain, *packed] if name in self.md5 else [*packed, *plain]

    def read_file(self, folder: Path, name: str) -> NDArray[np.uint8]:
        """Return the bytes of one of the four files, header included, once their number and md5 are right."""
        path = next(path for path in self.forms(folder, name) if path.exists())
        try:
            content = np.fromfile(path, np.uint8)
        except OSError as error:
            mend = "Change its permissions, or use another copy: 'data.search=[FOLDER]'"
            raise RunError(f"{path} can't be read: {error.strerror}. {mend}") from error
        is_packed, images = path.suffix == ".gz", self.train_size if name.startswith("train") else self.test_size
        size = 16 + images * self.shape[1] * self.shape[2] if "images" in name else 8 + images
        md5 = self.packed_md5[path.name] if is_packed else self.md5.get(name)
        found = hashlib.md5(content.data, usedforsecurity=False).hexdigest()
        damage = f"its md5 is {found} instead of {md5}" if md5 and md5 != found else ""
        if not is_packed and len(content) != size:
            damage = f"it has {len(content):,} bytes instead of {size:,}"
        if damage:
            what = "Delete it and run again, or use another copy: data.root=FOLDER"
            raise RunError(f"{path} is damaged: {damage}. {what}")
        return np.frombuffer(bytearray(gzip.decompress(content.data)), np.uint8) if is_packed else content

    @property
    def of_torchvision(self) -> Any:
        """torchvision's class of the same name: it downloads the files, and has a table of the packed ones."""
        import torchvision.datasets

        return getattr(torchvision.datasets, self.name)

    @property
    def packed_md5(self) -> dict[str, str]:
        return dict(self.of_torchvision.resources)

    def download(self, looked: list[str]) -> Path:
        """Download into `root` from torchvision's mirrors, one process at a time, and return the folder."""
        from filelock import FileLock

        root = Path(self.root)
        try:
            root.mkdir(parents=True, exist_ok=True)
            with FileLock(root / f".{self.name.lower()}.lock"):
                folder, _ = type(self)(self.root).find()  # another process may have been faster
                return folder or self.fetch(root)
        except (OSError, RuntimeError) as error:
            raise RunError(
                f"{self.name} was not found, and can't be downloaded.", *(f"  {line}" for line in looked),
                f"  download     into {root}: {one_line(error)}",
                f"Put {', '.join(FILES)} into {root / self.name / 'raw'}, packed or not, name a folder that has "
                f"{self.name}/raw ('data.search=[FOLDER]'), or train without network on scikit-learn's small digits:",
                "  python train.py data=digits",
            ) from error  # fmt: skip

    def fetch(self, root: Path) -> Path:
        """Download beside the goal and move whole files there: an interrupted download leaves nothing behind."""
        import socket

        folder = root / self.name / "raw"
        folder.mkdir(parents=True, exist_ok=True)
        socket.setdefaulttimeout(30)  # seconds without a byte; torchvision sets none and would wait for ever
        with tempfile.TemporaryDirectory(dir=root, prefix=".download-") as scratch:
            self.fetch_from_mirrors(scratch)
            found = Path(scratch, self.name, "raw")
            for name in FILES:
                self.read_file(found, name)
                path = next(path for path in self.forms(found, name) if path.exists())
                path.replace(folder / path.name)
        return folder

    def fetch_from_mirrors(self, folder: str) -> None:
        """Let torchvision download, from the next mirror where one stalls: it would give up then."""
        of, errors = self.of_torchvision, []
        mirrors = list(getattr(of, "mirrors", ()))
        for one in [[mirror] for mirror in mirrors] or [mirrors]:
            try:
                of.mirrors = one
                of(folder, download=True)
                return
            except (OSError, RuntimeError) as error:
                errors.append(one_line(error))
            finally:
                of.mirrors = mirrors
        raise RuntimeError("; ".join(errors))


class FashionMNIST(MNIST):
    """Articles of clothing: Xiao, Rasul, Vollgraf 2017, arXiv:1708.07747."""

    classes = ("T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
    is_handwriting, md5 = False, {}


class KMNIST(MNIST):
    """Cursive Japanese characters: Clanuwat and others 2018, arXiv:1812.01718."""

    classes, md5 = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"), {}


def of_conf() -> MNIST:
    """Return MNIST with the places of conf/data/mnist.yaml."""
    import yaml

    settings = yaml.safe_load((PROJECT / "conf" / "data" / "mnist.yaml").read_text("utf-8"))
    return MNIST(*map(from_checkout, (settings["root"], settings["search"])))


def main() -> int:
    """Find, check or download MNIST with the places of conf/data/mnist.yaml; exit status 1 where it can't be had."""
    mnist = of_conf()
    try:
        mnist.read()
    except RunError as error:
        print(error, file=sys.stderr)
        return error.status
    print(f"MNIST: all four files are intact, in {mnist.find()[0]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
