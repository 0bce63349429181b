"""The data module over a made-up source of a few images: every batch by hand."""

import hashlib
from types import SimpleNamespace
from typing import Any, get_type_hints

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from mnist_lightning.data import ImageDataModule, RepeatedBatches, ShuffledBatches, sequential_batches
from mnist_lightning.datasets.source import Arrays, Source, data_sha256
from mnist_lightning.runs.errors import UsageError


class Dots(Source):
    """Twelve images to train and five to test, of one pixel each, which says which one it is."""

    classes = ("even", "odd")
    shape = (1, 1, 1)
    reads = 0

    def read(self, may_download: bool = True) -> Arrays:
        self.reads += 1
        train, test = np.arange(12, dtype=np.uint8), np.arange(100, 105, dtype=np.uint8)
        return train.reshape(12, 1, 1), train % 2, test.reshape(5, 1, 1), test % 2


class Known(Dots):
    train_size = 12


class Coloured(Dots):
    shape = (3, 1, 1)


def dots(**settings: Any) -> ImageDataModule:
    data = ImageDataModule(Dots(), **{"batch_size": 4, "test_batch_size": 2} | settings)
    data.setup("fit")
    return data


def pixels(batches: Any) -> list[list[int]]:
    return [(255 * images).round().int().flatten().tolist() for images, _ in batches]


def test_images_are_scaled_and_read_once() -> None:
    source = Dots()
    data = ImageDataModule(source, mean=0.25, std=0.5)
    assert (data.size("train"), data.evaluation_stages) == (0, ["test"])
    data.prepare_data()
    data.prepare_data()
    data.setup("fit")
    data.setup("test")
    data.prepare_data()
    assert (source.reads, data.arrays) == (1, None)
    assert [data.size(split) for split in ("train", "val", "test")] == [12, 0, 5]
    images, labels = data.splits["test"].tensors
    expected = (torch.arange(100, 105).reshape(5, 1, 1, 1) / 255 - 0.25) / 0.5
    torch.testing.assert_close(images, expected)
    assert labels.tolist() == [0, 1, 0, 1, 0]


def test_settings_that_are_left_out() -> None:
    data = ImageDataModule(Dots())
    assert (data.batch_size, data.test_batch_size, data.val_size, data.val_seed, data.seed) == (64, 500, 0, 0, 0)
    assert (data.mean, data.std) == (0, 1)


def test_least_values() -> None:
    kinds = get_type_hints(ImageDataModule.__init__, include_extras=True)
    least = {"dataset": ("x", ""), "batch_size": (1, 0), "test_batch_size": (1, 0), "std": (0.5, 0.0)}
    least |= dict.fromkeys(("val_size", "val_seed", "seed"), (0, -1))
    for name, (good, bad) in least.items():
        assert TypeAdapter(kinds[name]).validate_python(good) == good
        with pytest.raises(ValidationError):
            TypeAdapter(kinds[name]).validate_python(bad)
    assert TypeAdapter(kinds["std"]).validate_python([0.5, 0.25]) == [0.5, 0.25]


def test_data_is_known_by_its_bytes_in_their_order() -> None:
    images, labels = np.arange(8, dtype=np.uint8).reshape(2, 2, 2), np.array([3, 1], np.uint8)
    by_hand = hashlib.sha256(bytes(range(8)) + (3).to_bytes(8, "little") + (1).to_bytes(8, "little")).hexdigest()
    assert data_sha256(images, labels) == by_hand
    assert data_sha256(images.transpose(0, 2, 1), labels) != by_hand


def test_a_data_set_has_its_name_or_its_sources() -> None:
    assert (dots().dataset, dots(dataset="points").dataset) == ("dots", "points")


def test_every_image_is_trained_on_once_or_held_out() -> None:
    data = dots(val_size=4, val_seed=7)
    trained = [pixel for batch in pixels(data.train_dataloader()) for pixel in batch]
    validation, test = (pixels(loader) for loader in data.val_dataloader())
    held_out = [pixel for batch in validation for pixel in batch]
    assert (data.evaluation_stages, sorted(trained + held_out)) == (["val", "test"], list(range(12)))
    assert [len(batch) for batch in validation] == [2, 2] and sum(pixel % 2 for pixel in held_out) == 2
    assert test == pixels(data.predict_dataloader()) == [[100, 101], [102, 103], [104]]
    assert [pixel for batch in pixels(dots(val_size=4, val_seed=8).val_dataloader()[0]) for pixel in batch] != held_out
    for images, labels in data.train_dataloader():
        assert ((255 * images).round().long().flatten() % 2).tolist() == labels.tolist()


@pytest.mark.parametrize("kind", [Dots, Known])
def test_not_everything_can_be_held_out(kind: type[Source]) -> None:
    ImageDataModule(kind(), val_size=10).setup()
    with pytest.raises(UsageError, match="val_size=11: holds out every image of class even; take fewer"):
        ImageDataModule(kind(), val_size=11).setup()
    what = r"val_size=12: must be from 0 to 11: .* has 12 images to train$"
    with pytest.raises((UsageError, ValueError), match=what):
        ImageDataModule(kind(), val_size=12).setup()


def test_one_mean_for_each_channel() -> None:
    ImageDataModule(Coloured(), mean=[0.1, 0.2, 0.3], std=1)
    for settings in ({"mean": [0.1]}, {"std": [1.0, 1.0]}):
        [name] = settings
        with pytest.raises(ValueError, match=f"{name}=.*: must be a number, or one for each of 3 channels"):
            ImageDataModule(Coloured(), **settings)  # type: ignore[arg-type]


def test_the_order_is_numpys_of_seed_and_epoch() -> None:
    batches = ShuffledBatches(12, 5, seed=3)
    batches.set_epoch(2)
    order = np.random.default_rng((3, 2)).permutation(12).tolist()
    assert [batch.tolist() for batch in batches] == [order[:5], order[5:10], order[10:]]
    assert len(batches) == 3 and len(ShuffledBatches(10, 5, seed=3)) == 2


def test_an_epoch_goes_on_where_it_was() -> None:
    whole = [batch.tolist() for batch in ShuffledBatches(12, 5, 3, epoch=1)]
    on = ShuffledBatches(12, 5, 3, resumed_at=(1, 2), epoch=1)
    assert [batch.tolist() for batch in on] == whole[2:]
    on.set_epoch(2)
    assert len(list(on)) == 3, "only that epoch"


def test_devices_take_their_shares_in_turn() -> None:
    order = np.random.default_rng((3, 0)).permutation(13).tolist()
    parts = [order[0:4], order[4:8], order[8:12], order[12:]]
    for rank, last in ((0, order[12:]), (1, order[12:])):
        shares = ShuffledBatches(13, 4, 3, rank, devices=2)
        assert [batch.tolist() for batch in shares] == [*(part[rank::2] for part in parts[:3]), last]
        assert len(shares) == 4
        assert [shares.share(batch) for batch in range(4)] == [(2, 4)] * 3 + [(1 - rank, 1)], (
            "the second's counts nothing"
        )
    uneven = [ShuffledBatches(5, 9, 3, rank, devices=3).share(0) for rank in range(3)]
    assert uneven == [(2, 5), (2, 5), (1, 5)]
    assert sequential_batches(7, 2) == [slice(0, 2), slice(2, 4), slice(4, 6), slice(6, 7)]
    assert sequential_batches(7, 2, 0, 2) == [slice(0, 2), slice(2, 3)]
    assert sequential_batches(7, 2, 1, 2) == [slice(3, 5), slice(5, 7)]


def test_the_place_of_this_process_counts() -> None:
    class Stand(SimpleNamespace):
        pass

    data = dots()
    data.trainer = Stand(global_rank=1, world_size=2)  # type: ignore[assignment]
    [loader] = data.val_dataloader()
    assert pixels(loader) == [[102, 103], [104]]
    assert [len(batch) for batch in pixels(data.train_dataloader())] == [2, 2, 2]
    data.batch_size = 3
    with pytest.raises(UsageError, match=r"data\.batch_size=3 can't be divided among 2 devices"):
        data.train_dataloader()


def test_serving_draws_nothing_from_torchs_generator() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    list(dots().train_dataloader())
    assert torch.equal(torch.get_rng_state(), before)
    batch = object()
    assert dots().transfer_batch_to_device(batch, torch.device("cpu"), 0) is batch


def test_an_overfitting_run_sees_the_same_batches_in_every_epoch() -> None:
    shuffled, repeated = ShuffledBatches(20, 4, seed=3), RepeatedBatches(20, 4, seed=3)
    first = [batch.tolist() for batch in shuffled]
    for epoch in (0, 1, 7):
        repeated.set_epoch(epoch)
        assert [batch.tolist() for batch in repeated] == first
    shuffled.set_epoch(1)
    assert [batch.tolist() for batch in shuffled] != first
