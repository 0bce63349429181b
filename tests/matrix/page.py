"""docs/lightning.md and docs/hydra.md: the rows of the matrix as tables, between two marks."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from conftest import PROJECT

from matrix.rows import HYDRAS, KINDS, Row, rows

PAGES = {  # and the kinds of rows on each
    PROJECT / "docs" / "lightning.md": [kind for kind in KINDS if kind != HYDRAS],
    PROJECT / "docs" / "hydra.md": [HYDRAS],
}
BEGIN, END = "<!-- written by make matrix-test ARGS=--write -->\n", "<!-- end -->\n"


def tables(kinds: Sequence[str]) -> str:
    """Return how many of each kind work, then each kind's rows."""
    all_rows = [*rows()]
    counted = {kind: Counter(row.outcome for row in all_rows if row.kind == kind) for kind in kinds}
    found = {outcome for counts in counted.values() for outcome in counts}
    outcomes = sorted(found, key="works trains does refused".find)
    lines = [f"| | tried | {' | '.join(outcomes)} |", f"| --- | ---: |{' ---: |' * len(outcomes)}"]
    for kind, counts in counted.items():
        lines.append(f"| {kind} | {counts.total()} | {' | '.join(str(counts[one]) for one in outcomes)} |")
    for kind in kinds:
        lines += ["", f"## {kind[0].upper()}{kind[1:]}", "", "| | tried with | |", "| --- | --- | --- |"]
        lines += [line(row) for row in all_rows if row.kind == kind]
    return "\n".join([*lines, ""])


def line(row: Row) -> str:
    settings = f"`{row.settings}`" if row.settings else ""
    said = f": … {row.said} …" if row.outcome == "refused" else ""
    return f"| `{row.name}` | {settings} | {row.outcome}{said} |"


def written(page: Path) -> str:
    """Return what is to stand on a page: what is written by hand, and the tables of its kinds."""
    before, _, rest = page.read_text("utf-8").partition(BEGIN)
    return f"{before}{BEGIN}\n{tables(PAGES[page])}\n{END}{rest.partition(END)[2]}"


def write() -> None:
    for page in PAGES:
        page.write_text(written(page), "utf-8")
