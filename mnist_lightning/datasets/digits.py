"""scikit-learn's bundled digits, which need no network and no files."""

import numpy as np

from mnist_lightning.datasets.source import DIGITS, Arrays, Source, balanced_draw

TEST_SIZE = 360  # of 1,797: a fifth, 36 of each digit


class Digits(Source):
    """scikit-learn's digits, scaled from 8×8 to 20×20 in the middle of 28×28.

    The test set is a fixed class-balanced draw, because the bundled file comes without one.
    """

    classes, shape, train_size, is_handwriting = DIGITS, (1, 28, 28), 1_797 - TEST_SIZE, True

    def read(self, may_download: bool = True) -> Arrays:
        import torch
        from sklearn.datasets import load_digits

        bundled = load_digits()
        small = torch.from_numpy(bundled.images).float().unsqueeze(1) * (255 / 16)  # the scans have 17 greys, 0..16
        large = torch.nn.functional.interpolate(small, size=(20, 20), mode="bilinear", align_corners=False)
        images = torch.nn.functional.pad(large, (4, 4, 4, 4)).round().to(torch.uint8).squeeze(1).numpy()
        labels = bundled.target.astype(np.uint8)
        test = balanced_draw(labels, TEST_SIZE, seed=0)
        return np.delete(images, test, axis=0), np.delete(labels, test), images[test], labels[test]
