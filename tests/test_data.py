"""The data against the files' own bytes, against torchvision, and against exact counts."""

import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from mnist_lightning.data import ImageDataModule, ShuffledBatches, sequential_batches
from mnist_lightning.datasets import mnist
from mnist_lightning.datasets.digits import Digits
from mnist_lightning.datasets.source import balanced_draw
from mnist_lightning.runs.errors import RunError, UsageError


def digits(**settings: object) -> ImageDataModule:
    arguments = {"source": Digits(), "batch_size": 16, "mean": 0.1555, "std": 0.2772}
    data = ImageDataModule(**(arguments | settings))  # type: ignore[arg-type]
    data.setup("fit")
    return data


def mnist_module(root: Path, **settings: object) -> ImageDataModule:
    return digits(**({"source": mnist.MNIST(str(root)), "batch_size": 64, "mean": 0.1370, "std": 0.3081} | settings))


def copy_of(mnist_root: Path, folder: Path) -> Path:
    """Link MNIST's files into a folder of the test's own, and return their place."""
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in mnist.FILES:
        (raw / name).symlink_to(mnist_root / "MNIST" / "raw" / name)
    return raw


def test_images_are_torchvisions(mnist_root: Path) -> None:
    from torchvision import datasets, transforms

    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.1370,), (0.3081,))])
    data = mnist_module(mnist_root)
    for split, train in (("train", True), ("test", False)):
        reference = datasets.MNIST(mnist_root, train=train, transform=transform)
        images, labels = data.splits[split].tensors
        assert len(images) == len(reference) == (60_000 if train else 10_000)
        assert torch.equal(labels, reference.targets)
        for index in (0, 1, 4_999, len(reference) - 1):
            torch.testing.assert_close(images[index], reference[index][0], rtol=0, atol=1e-6)


def test_constants_are_the_training_sets_own(mnist_root: Path) -> None:
    images, _, _, _ = mnist.MNIST(str(mnist_root)).read()
    assert round(float(images.mean(dtype=np.float64)) / 255, 4) == 0.1307  # as conf/data/mnist.yaml says
    assert round(float(images.std(dtype=np.float64)) / 255, 4) == 0.3081
    images, _, _, _ = Digits().read()
    assert round(float(images.mean(dtype=np.float64)) / 255, 4) == 0.1555  # as in conf/data/digits.yaml
    assert round(float(images.std(dtype=np.float64)) / 255, 4) == 0.2772


def test_digits_are_a_balanced_split_of_the_bundled_file() -> None:
    train_images, train_labels, test_images, test_labels = Digits().read()
    assert train_images.shape == (1437, 28, 28)
    assert test_images.shape == (360, 28, 28)
    assert np.bincount(test_labels).tolist() == [36] * 10
    assert train_images.dtype == train_labels.dtype == np.uint8
    assert train_images.max() == 255


def test_order_is_a_function_of_seed_and_epoch() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        batches = ShuffledBatches(1000, 64, seed)
        batches.set_epoch(epoch)
        assert len(batches) == len(list(batches)) == 16
        return torch.cat(list(batches)).tolist()

    assert order(0, 0) == order(0, 0)
    assert sorted(order(0, 0)) == list(range(1000))
    different = [order(seed, epoch) for seed in range(3) for epoch in range(3)]
    assert len({tuple(one) for one in different}) == 9


def test_devices_share_each_global_batch() -> None:
    whole = list(ShuffledBatches(1003, 64, seed=5))
    parts = [list(ShuffledBatches(1003, 64, 5, rank, 4)) for rank in range(4)]
    for number, batch in enumerate(whole):
        shares = [part[number] for part in parts]
        together = [index for place in range(4) for share in shares for index in share[place::4].tolist()]
        assert sorted(together) == sorted(batch.tolist()), "each image once"
        assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_evaluation_sees_every_image_once_on_any_number_of_devices() -> None:
    for devices in (1, 2, 3, 7):
        seen = [
            index
            for rank in range(devices)
            for batch in sequential_batches(1003, 100, rank, devices)
            for index in range(1003)[batch]
        ]
        assert seen == list(range(1003))


def test_loaders_serve_whole_batches() -> None:
    data = digits()
    batches = list(data.train_dataloader())
    assert len(batches) == 90
    assert batches[0][0].shape == (16, 1, 28, 28)
    assert batches[0][0].dtype == torch.float32
    assert batches[0][1].dtype == torch.int64
    assert sum(len(labels) for _, labels in batches) == 1437
    [test_loader] = data.val_dataloader()
    assert torch.equal(torch.cat([labels for _, labels in test_loader]), data.splits["test"].tensors[1])


@pytest.mark.parametrize("size", [10, 100, 333])
def test_validation_set_is_balanced_seeded_and_apart(size: int) -> None:
    data = digits(val_size=size)
    counts = torch.bincount(data.splits["val"].tensors[1])
    assert counts.sum() == size
    assert counts.max() - counts.min() <= 1
    assert data.size("train") == 1437 - size
    same, other = digits(val_size=size, seed=9), digits(val_size=size, val_seed=1)
    assert torch.equal(same.splits["val"].tensors[0], data.splits["val"].tensors[0]), "whatever the run's seed"
    assert not torch.equal(other.splits["val"].tensors[0], data.splits["val"].tensors[0])
    everything = {image.numpy().tobytes() for split in ("train", "val") for image in data.splits[split].tensors[0]}
    assert everything == {image.numpy().tobytes() for image in digits().splits["train"].tensors[0]}


def test_balanced_draw_takes_all_of_a_small_class() -> None:
    labels = np.array([0] * 3 + [1] * 100, np.uint8)
    drawn = balanced_draw(labels, 50, seed=0)
    assert np.bincount(labels[drawn]).tolist() == [3, 47]
    assert len(set(drawn)) == 50


def test_batch_that_cannot_be_divided() -> None:
    data = digits(batch_size=15)
    data.trainer = type("TwoDevices", (), {"global_rank": 0, "world_size": 2})()
    with pytest.raises(UsageError, match=r"data.batch_size=15 can't be divided among 2 devices"):
        data.train_dataloader()


def test_missing_files_list_what_was_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise RuntimeError("Error downloading train-images-idx3-ubyte.gz")

    monkeypatch.setattr("torchvision.datasets.MNIST", no_network)
    with pytest.raises(RunError) as raised:
        mnist.MNIST(str(tmp_path / "data"), [str(tmp_path / "shared")]).read()
    message = str(raised.value)
    for part in (
        f"{tmp_path}/data: none of the four files",
        f"{tmp_path}/shared",
        "Error downloading",
        "data=digits",
    ):
        assert part in message
    assert raised.value.status == 1


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("truncated", "it has 5,000 bytes instead of 10,008"),
        ("empty", "it has 0 bytes instead of 10,008"),
        ("flipped", "its md5 is [0-9a-f]{32} instead of 27ae3e4e09519cfbb04c329615203637"),
        ("unreadable", "can't be read: Is a directory"),
    ],
)
def test_damaged_file_is_named(mnist_root: Path, tmp_path: Path, damage: str, message: str) -> None:
    path = copy_of(mnist_root, tmp_path) / "t10k-labels-idx1-ubyte"
    content = bytearray(path.read_bytes())
    path.unlink()
    content[7_000] ^= 1
    if damage == "unreadable":
        path.mkdir()
    else:
        path.write_bytes({"truncated": bytes(content[:5_000]), "empty": b"", "flipped": bytes(content)}[damage])
    with pytest.raises(RunError, match=message) as raised:
        mnist.MNIST(str(tmp_path)).read()
    assert str(path) in str(raised.value)


def test_download_happens_once_and_leaves_whole_files(
    mnist_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def from_mirror(root: str, download: bool) -> None:
        calls.append(root)
        copy_of(mnist_root, Path(root))

    monkeypatch.setattr("torchvision.datasets.MNIST", from_mirror)
    threads = [threading.Thread(target=mnist.MNIST(str(tmp_path)).read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert sorted(path.name for path in (tmp_path / "MNIST" / "raw").iterdir()) == sorted(mnist.FILES)
    assert not list(tmp_path.glob(".download-*"))


def test_interrupted_download_leaves_nothing(mnist_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(root: str, download: bool) -> None:
        raw = copy_of(mnist_root, Path(root))
        (raw / "t10k-labels-idx1-ubyte").unlink()
        (raw / "t10k-labels-idx1-ubyte").write_bytes(b"half")

    monkeypatch.setattr("torchvision.datasets.MNIST", broken)
    with pytest.raises(RunError, match="t10k-labels-idx1-ubyte is damaged"):
        mnist.MNIST(str(tmp_path)).read()
    found, _ = mnist.MNIST(str(tmp_path)).find()
    assert found is None


def test_training_images_are_let_go_and_read_again_for_another_fit() -> None:
    data = digits()
    kept, loader = data.splits["train"].tensors, data.train_dataloader()
    data.let_go_of_training_images()
    assert loader.dataset[:] == (), "a loader would keep them in memory"
    test = data.splits["test"]
    data.setup("test")
    assert data.splits == {"test": test}, "nothing is read again"
    data.setup("fit")
    assert all(map(torch.equal, data.splits["train"].tensors, kept))


def test_the_next_mirror_is_asked_where_one_stalls(
    mnist_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    class Mirrored:
        mirrors = ("slow", "quick")

        def __init__(self, root: str, download: bool) -> None:
            asked.extend(self.mirrors)
            if self.mirrors == ["slow"]:
                raise TimeoutError("timed out")
            copy_of(mnist_root, Path(root))

    monkeypatch.setattr("torchvision.datasets.MNIST", Mirrored)
    mnist.MNIST(str(tmp_path)).read()
    assert asked == ["slow", "quick"]


def test_files_are_known_by_kaggles_names_too_and_in_the_folder_itself(mnist_root: Path, tmp_path: Path) -> None:
    for name in mnist.FILES:
        (tmp_path / name.replace("-idx", ".idx")).symlink_to(mnist_root / "MNIST" / "raw" / name)
    found = mnist.MNIST(str(tmp_path / "nowhere"), [str(tmp_path)])
    assert found.find()[0] == tmp_path
    images, *_ = found.read(may_download=False)
    assert images.shape == (60_000, 28, 28)
