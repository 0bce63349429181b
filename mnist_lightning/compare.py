"""One table of runs, best first, seeds folded to mean ± sd: `python -m mnist_lightning.compare DIR…`."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mnist_lightning.runs.files import write_atomically
from mnist_lightning.sweeps.leaderboard import FoundRun, Leaderboard, find, reason, shown
from mnist_lightning.sweeps.sweep import SWEEP_FILE
from mnist_lightning.terminal.command import answered

LAST_LINES = 10  # of a failed run's train.log


def write(board: Leaderboard, directory: Path) -> str:
    """Write leaderboard.csv, leaderboard.md, figures/leaderboard.png and, of a full grid, figures/heat_map.png.

    Return what was written, in words; nothing is where the directory is read-only.
    """
    if not os.access(directory, os.W_OK):
        return f"{directory} is read-only: no leaderboard.csv written"
    written = f"written: {directory}/leaderboard.csv, leaderboard.md"
    for name, text in (("leaderboard.csv", board.csv()), ("leaderboard.md", board.markdown())):
        write_atomically(directory / name, lambda file, text=text: file.write(text.encode()))  # type: ignore[misc]
    rows = [row for row in board.rows if row.accuracies(board.stage)]
    if not rows:
        return written
    from mnist_lightning.figures import of_sweep
    from mnist_lightning.figures.of_run import save, save_as_svg

    label = "validation accuracy (%)" if board.stage == "val" else "test accuracy (%)"
    names = [", ".join(f"{name}={shown(row.settings.get(key))}" for key, name in board.columns.items()) for row in rows]
    title = rows[0].runs[0].results["name"]
    figure = of_sweep.leaderboard(
        [name or title for name in names], [row.accuracies(board.stage) for row in rows], label
    )
    save_as_svg(figure, directory / "figures" / "leaderboard")
    save(figure, directory / "figures" / "leaderboard")
    if grid := board.grid():
        across, down, means = grid
        name_down, name_across = board.columns.values()
        figure = of_sweep.heat_map(
            means, list(map(shown, across)), list(map(shown, down)), name_across, name_down, label
        )
        save_as_svg(figure, directory / "figures" / "heat_map")
        save(figure, directory / "figures" / "heat_map")
        return f"{written}, figures/leaderboard.png, figures/heat_map.png"
    return f"{written}, figures/leaderboard.png"


def show(places: Sequence[Path], into: Path | None = None) -> None:
    """Print the table of all runs below `places`, and write it into a directory."""
    from mnist_lightning.terminal.console import say

    board = find(places)
    header, *rows = board.text().splitlines()
    say(f"\n{header}", style="bold")
    say("\n".join([*rows, "", *filter(None, [board.note, board.verdict])]))
    for run in board.unfinished:
        if run.status != "running":
            say("\n".join(["", *last_lines(run)]))
    for directory in board.waiting:
        say(f"{directory}: not run yet")
    if into:
        say(f"\n{write(board, into)}")


def last_lines(run: FoundRun) -> list[str]:
    """Return how a run without a result ended, and the end of its output."""
    log = run.directory / "train.log"
    lines = [f"{run.directory}: {run.status}{reason(run)}"]
    if log.exists() and run.status in ("failed", "diverged", "killed"):
        written = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        lines += [f"    {line}" for line in written[-LAST_LINES:]]
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m mnist_lightning.compare",
        description="Compare all runs below some folders in one table, best first; seeds are folded to mean ± sd (n).",
    )
    parser.add_argument("places", nargs="+", metavar="DIR", help="a sweep, a run, or any folder that holds some")
    parser.add_argument(
        "--write",
        metavar="DIR",
        help="where leaderboard.csv, leaderboard.md and figures/ go; of one sweep, the sweep itself",
    )
    options = parser.parse_args(arguments)
    places = [Path(place) for place in options.places]
    into = Path(options.write) if options.write else None
    if into is None and len(places) == 1 and (places[0] / SWEEP_FILE).exists():
        into = places[0]
    show(places, into)
    return 0


if __name__ == "__main__":
    with answered():
        sys.exit(main())
