"""Pictures as a network sees them, prepared by several processes where there are many of them."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial

import numpy as np
from numpy.typing import NDArray

from mnist_lightning.pictures.picture_files import Picture, read_picture
from mnist_lightning.pictures.prepare import PictureError, prepare
from mnist_lightning.runs.errors import RunError

WORTH = 100  # pictures, in the time that it takes to start a process
MOST = 4  # processes: in each a picture of the largest size takes up to 0.9 GB
CHUNK = 8  # pictures that are handed over at once

Prepared = NDArray[np.uint8]
Seen = Generator[Prepared | str, None, None]


def seen(picture: Picture, shape: Sequence[int] | None) -> Prepared:
    """Return a picture as the network sees it: prepared as MNIST was, or in the `shape` (C, H, W) of its images."""
    return read_picture(picture, shape) if shape else prepare(read_picture(picture))


def seen_or_why_not(picture: Picture, shape: Sequence[int] | None) -> Prepared | str:
    try:
        return seen(picture, shape)
    except PictureError as error:
        return str(error)


def each_seen(files: Sequence[Picture], shape: Sequence[int] | None, processes: int) -> Seen:
    """Yield each picture as the network sees it, or what is wrong with it. Close it: then the processes end."""
    processes = min(processes, MOST, len(files) // WORTH)
    one = partial(seen_or_why_not, shape=shape)
    if processes < 2 or not all(isinstance(file, str) for file in files):
        yield from map(one, files)
        return
    with left_to_the_first():  # multiprocessing's own helper starts, which takes SIGINT back in this one
        pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), end_with_the_first)
    try:
        with left_to_the_first():  # the processes start
            found = pool.map(one, files, chunksize=CHUNK)
        yield from found
    except BrokenProcessPool as error:
        raise RunError("a process that prepared pictures was killed; often there is too little memory") from error
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def left_to_the_first() -> Iterator[None]:
    """Block what a terminal sends to all processes, in those that start meanwhile: only the first one answers it.

    SIGTERM is not blocked: with it the pool ends the others when one was killed.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGHUP))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with_the_first() -> None:
    """Let a further process end when the first one has gone."""
    first = multiprocessing.parent_process()
    assert first is not None

    def watch() -> None:
        first.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
