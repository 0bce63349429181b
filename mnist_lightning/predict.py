"""Which digit is on a person's own pictures: `python -m mnist_lightning.predict RUN IMAGE…`."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mnist_lightning.command import answered


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one line per picture; exit status 1 where one could not be read."""
    parser = argparse.ArgumentParser(prog="python -m mnist_lightning.predict", description=__doc__)
    parser.add_argument("run", metavar="RUN", help="a run directory, or a checkpoint in one")
    parser.add_argument("images", metavar="IMAGE", nargs="+", type=Path, help="pictures of one digit each")
    parser.add_argument("--json", action="store_true", help="print one list of objects")
    options = parser.parse_args(arguments)
    answers = predict(options.run, options.images)
    if options.json:
        print(json.dumps(answers, indent=2))
    for answer in answers:
        if "error" in answer:
            print(f"{answer['file']}: {answer['error']}", file=sys.stderr)
        elif not options.json:
            second = f"else {answer['second']} {answer['second_confidence']:.1%}"
            print(f"{answer['file']}: {answer['digit']}  {answer['confidence']:.1%}  ({second})")
    return int(any("error" in answer for answer in answers))


def predict(run: str | Path, paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Return digit, confidence, second guess and its confidence for each picture, or what is wrong with it."""
    import torch

    from mnist_lightning.images import PictureError, prepare, read_picture
    from mnist_lightning.trained import load_run

    trained = load_run(run)
    answers: list[dict[str, Any]] = []
    for path in paths:
        try:
            prepared = prepare(read_picture(path))
        except PictureError as error:
            answers.append({"file": str(path), "error": str(error)})
            continue
        probabilities, digits = trained.probabilities(torch.from_numpy(prepared)[None])[0].sort(descending=True)
        answers.append(
            {
                "file": str(path),
                "digit": int(digits[0]),
                "confidence": float(probabilities[0]),
                "second": int(digits[1]),
                "second_confidence": float(probabilities[1]),
            }
        )
    return answers


if __name__ == "__main__":
    with answered():
        sys.exit(main())
