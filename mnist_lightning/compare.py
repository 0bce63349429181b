"""One table of runs, best first, seeds folded to mean ± sd: `python -m mnist_lightning.compare DIR…`."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from mnist_lightning.runs.commands import module_command
from mnist_lightning.runs.errors import printable
from mnist_lightning.runs.files import folder_within, made_folder, write_atomically
from mnist_lightning.sweeps.found_runs import find
from mnist_lightning.sweeps.leaderboard import Leaderboard
from mnist_lightning.sweeps.sweep import is_sweep
from mnist_lightning.terminal.command import Parser, answered
from mnist_lightning.terminal.console import CONSOLE, say

if TYPE_CHECKING:
    import pandas as pd


def show(places: Sequence[Path], into: Path | None = None, metric: str = "accuracy", logs: bool = False) -> None:
    """Print the table of all runs below `places`, ranked by a metric, and write it into a directory.

    Each failure is a line above it; with `logs`, the ends of their logs too.
    """
    board = Leaderboard(find(places), metric)
    if into:
        made_folder("--write", into)
    if board.remarks:
        say("\n".join(["", *board.remarks]))
    if board.logs:
        say("\n".join(board.logs) if logs else f"Their logs: {module_command('compare', *places, '--logs')}")
    if len(board.rows):
        print_table(board)
    say("\n".join(board.notes))
    if into:
        say(f"\nwritten to {into}: {', '.join(write(board, into))}")


def print_table(board: Leaderboard) -> None:
    """Print the table. Where a terminal has no room, directories stand below, for each row; then settings share one."""
    cells = board.cells()
    room = CONSOLE.width if CONSOLE.is_terminal else 10_000
    narrow = cells.iloc[:, :1].join(board.labels()).join(cells.iloc[:, -3 - len(board.stages) : -3])
    for columns in (cells, cells.iloc[:, :-1], narrow):
        table = as_table(columns, board)
        table.width = min(Measurement.get(CONSOLE, CONSOLE.options.update(width=10_000), table).maximum, room)
        if table.width < room:
            break
    say("")
    say(table)
    directories = cells.iloc[:, 0].replace("", "–").str.rjust(len(str(len(cells)))) + "  " + cells.iloc[:, -1]
    say("" if columns is cells else "\n".join(["", *directories, ""]), is_prose=False)


def as_table(cells: "pd.DataFrame", board: Leaderboard) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in cells:
        table.add_column(Text(name), justify="right" if board.is_number(name) else "left", no_wrap=name != "settings")
    for row in cells.itertuples(index=False):
        table.add_row(*map(Text, row))
    return table


def write(board: Leaderboard, directory: Path) -> list[str]:
    """Write leaderboard.csv, leaderboard.md and, of finished runs, figures; return what was written.

    The figures are leaderboard.png and, where two settings were varied against each other, heat_map.png.
    """
    folder = directory if board.ranked.empty else folder_within(directory, "figures")  # refused first
    texts = {"leaderboard.csv": board.csv(), "leaderboard.md": board.markdown()}
    for name, text in texts.items():
        write_atomically(directory / name, text.encode(errors="backslashreplace"))
    if board.ranked.empty:
        return list(texts)
    from mnist_lightning.figures import of_sweep
    from mnist_lightning.figures.of_run import save

    images = "validation" if board.stages[0] == "val" else "test"
    label = f"{images} {board.metric}{' (%)' * bool(board.unit)}"
    names = board.labels()[board.ranked.index].replace("", board.found.runs["name"][0])
    title = ", ".join(printable(name)[:100] for name in board.found.runs["name"].unique()[:3])
    as_drawn = (label, board.scale > 1, title)
    figures = {"leaderboard": of_sweep.leaderboard([*names], [*board.ranked["values"]], *as_drawn)}
    if (grid := board.grid()) is not None:
        figures["heat_map"] = of_sweep.heat_map(grid, *as_drawn)
    for name, figure in figures.items():
        save(figure, folder / name, as_svg=True)
    return [*texts, *(f"figures/{name}.png" for name in figures)]


def main(arguments: Sequence[str] | None = None) -> int:
    purpose = "Compare all runs below some folders in one table, best first; seeds are folded to mean ± sd (n)."
    parser = Parser(prog="python -m mnist_lightning.compare", description=purpose)
    places = "a sweep, a run, or any folder that holds runs"
    parser.add_argument("places", nargs="+", type=Path, metavar="DIR", help=places)
    files = "where to write leaderboard.csv, leaderboard.md and figures/; by default, a sweep's own directory"
    parser.add_argument("--write", type=Path, metavar="DIR", help=files)
    metric = "what to rank by, as results.json names it: accuracy, loss or another number (default: %(default)s)"
    parser.add_argument("--metric", default="accuracy", help=metric)
    parser.add_argument("--logs", action="store_true", help="show the last lines of the logs of failed runs")
    options = parser.parse_args(arguments)
    into = options.write
    if into is None and len(options.places) == 1 and is_sweep(options.places[0]):
        into = options.places[0]
        if not os.access(into, os.W_OK):
            say(f"{into} is read-only: no leaderboard.csv is written")
            into = None
    show(options.places, into, options.metric, options.logs)
    return 0


if __name__ == "__main__":
    with answered():
        sys.exit(main())
