"""Read your own pictures, for MNIST the digit on each: `python -m mnist_lightning.predict RUN IMAGE…`."""

import io
import json
import sys
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from mnist_lightning.runs.errors import printable
from mnist_lightning.runs.files import made_folder
from mnist_lightning.runs.processes import cores
from mnist_lightning.runs.run import CONFIG_FILE
from mnist_lightning.terminal.command import answered, parser_for_run, show

AT_ONCE = 16  # pictures that are prepared and then read together


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one line per picture; exit status 1 where one could not be read."""
    parser = parser_for_run("predict", __doc__)
    parser.usage = "%(prog)s [-h] [--json]\n           [--save-prepared DIR] RUN IMAGE [IMAGE ...]"
    images = "pictures, folders of them, or - for standard input"
    parser.add_argument("images", metavar="IMAGE", nargs="+", help=images)
    parser.add_argument("--json", action="store_true", help="print one list of objects")
    parser.add_argument("--save-prepared", metavar="DIR", type=Path, help="save what the network saw there")
    options = parser.parse_args(arguments)
    if "" in options.images:
        parser.error("an IMAGE is empty: name a picture, a folder of them, or - for standard input")
    run = Path(options.run)
    if (run.is_file() and run.suffix != ".ckpt") or (run.is_dir() and not (run / CONFIG_FILE).exists()):
        parser.error(f"{run} is no run: first comes RUN, a run directory or a checkpoint in one, then pictures")
    answers: list[dict[str, Any]] = []
    told: set[str] = set()
    names = [*pictures(options.images, told)]
    with closing(predict(options.run, names, options.save_prepared, cores())) as found:
        for answer in found:
            answers.append(answer)
            if answer["file"] not in told:
                tell(answer, options.json)
    if options.json:
        print(json.dumps(answers, indent=2, allow_nan=False))
    return int(any("error" in answer for answer in answers))


def tell(answer: dict[str, Any], is_listed: bool) -> None:
    """Print a line about a picture; where all are listed at the end, only of one that could not be read."""
    name = "standard input" if answer["file"] == "-" else printable(answer["file"])
    if "error" in answer:
        show(f"{name}: {printable(answer['error'])}", sys.stderr)
    elif not is_listed:
        first = printable(str(answer.get("class", answer["digit"])))
        second = printable(str(answer.get("second_class", answer["second"])))
        other = f"{answer['second_confidence']:.1%}"
        second_guess = "" if other == "0.0%" else f"  (else {second} {other})"
        remark = f"  {answer['remark']}" if answer.get("remark") else ""
        show(f"{name}: {first}  {answer['confidence']:.1%}{second_guess}{remark}")


def predict(
    run: str | Path, names: Sequence[str], save_into: Path | None = None, processes: int = 1
) -> Generator[dict[str, Any], None, None]:
    """Yield for each picture digit, confidence, second guess and its confidence, or what is wrong with it.

    Of handwriting, "remark" is what speaks against the answer, or None.

    Where the classes are no digits, "digit" and "second" are their numbers, and "class" and "second_class" their names.
    The names are of files, - is standard input. Into `save_into` each picture is saved as the network saw it:
    "prepared" is that file. Of many pictures so many `processes` prepare some each: close the iterator to end them.
    """
    from mnist_lightning.pictures.many import each_seen
    from mnist_lightning.trained import load_run

    trained = load_run(run)
    if save_into is not None:
        made_folder("--save-prepared", save_into)
    stdin = sys.stdin.buffer if sys.stdin else io.BytesIO()  # it is None where a shell closed it: <&-
    files: list[str | BinaryIO] = [stdin if name == "-" else name for name in names]
    with closing(each_seen(files, None if trained.is_handwriting else trained.shape, processes)) as seen:
        left = zip(names, seen, strict=True)
        while part := list(islice(left, AT_ONCE)):
            yield from read(trained, part, save_into)


def pictures(names: Iterable[str], told: set[str]) -> Iterator[str]:
    """Yield the names of pictures, those in folders too, and say on stderr what a folder has that is not read.

    `told` gets the pictures among that: HEIC without the extra.
    """
    from mnist_lightning.pictures.contents import files_below, head_of, in_words, kind_of, remedy
    from mnist_lightning.pictures.prepare import PictureError

    for name in names:
        try:
            found = files_below(name) if Path(name).is_dir() else None
        except PictureError:  # a folder in it can't be read
            found = None
        if not found or not found.pictures:
            yield name
            continue
        unread = [file for file in found.pictures if remedy(kind_of(head_of(file)))]
        if left_out := [*unread, *found.others]:
            show(f"{printable(name)}: left out {printable(in_words(left_out))}", sys.stderr)
        told.update(map(str, unread))
        yield from map(str, found.pictures)


def read(trained: Any, some: Sequence[tuple[str, Any]], save_into: Path | None) -> list[dict[str, Any]]:
    """Return the answers to a few pictures, in their order: each is a name, and what the network sees, or why not."""
    import numpy as np

    from mnist_lightning.datasets.source import noun
    from mnist_lightning.pictures.remark import remark_on

    answers: list[dict[str, Any]] = []
    good = []
    for name, picture in some:
        answer: dict[str, Any] = {"file": name}
        answers.append(answer)
        if isinstance(picture, str):
            answer["error"] = picture
            continue
        try:
            if save_into is not None:
                answer["prepared"] = str(save(picture, save_into, name))
            good.append((answer, picture))
        except OSError as error:
            answer["error"] = f"can't be written into {save_into}: {error.strerror or error}"
    if not good:
        return answers
    likely = trained.probabilities(np.stack([picture for _, picture in good]))
    for (answer, picture), each in zip(good, likely, strict=True):
        (first, second), (digit, other) = (best.tolist() for best in each.topk(2))
        answer |= {"digit": digit, "confidence": first, "second": other, "second_confidence": second}
        if noun(trained.classes) != "digit":
            answer |= {"class": trained.classes[digit], "second_class": trained.classes[other]}
        if trained.is_handwriting:
            answer["remark"] = remark_on(picture, each.tolist(), trained.classes)
    return answers


def save(prepared: Any, folder: Path, name: str) -> Path:
    """Write a prepared picture under its own name, with a number where that exists already, and return the file."""
    from PIL import Image

    stem = "stdin" if name == "-" else Path(name).stem
    path, number = folder / f"{stem}.png", 1
    while path.exists():
        number += 1
        path = folder / f"{stem}-{number}.png"
    Image.fromarray(prepared.transpose(1, 2, 0) if prepared.ndim == 3 else prepared).save(path)
    return path


if __name__ == "__main__":
    with answered():
        sys.exit(main())
