"""Try all rows, or those of which a part of the title is given, and say what is not as expected."""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from faults.lab import Lab

from matrix import page
from matrix.rows import rows
from matrix.tried import problem


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m matrix", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help="only rows with this in their title")
    parser.add_argument("--write", action="store_true", help="only write the table of docs/lightning.md")
    options = parser.parse_args()
    if options.write:
        page.write()
        return 0
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MNIST_LIGHTNING_KEY"] = f"{folder}/key"
        lab = Lab(Path(folder))
        chosen = [row for row in rows() if not options.parts or any(part in row.title for part in options.parts)]
        for row in chosen:
            started = time.monotonic()
            found = problem(lab, row)
            wrong += found is not None
            print(f"{row.title}: {found or row.outcome}, {time.monotonic() - started:.1f} s", flush=True)
    print(f"{len(chosen) - wrong} of {len(chosen)} as expected")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
