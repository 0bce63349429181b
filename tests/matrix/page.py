"""docs/lightning.md: the rows of the matrix as tables, between two marks."""

from collections import Counter

from conftest import PROJECT

from matrix.rows import KINDS, Row, rows

PAGE = PROJECT / "docs" / "lightning.md"
BEGIN, END = "<!-- written by make matrix-test ARGS=--write -->\n", "<!-- end -->\n"


def tables() -> str:
    """Return how many of each kind work, then each kind's rows."""
    all_rows = [*rows()]
    lines = ["| | tried | work | train | refused |", "| --- | ---: | ---: | ---: | ---: |"]
    for kind in KINDS:
        counts = Counter(row.outcome for row in all_rows if row.kind == kind)
        lines.append(f"| {kind} | {counts.total()} | {counts['works']} | {counts['trains']} | {counts['refused']} |")
    for kind in KINDS:
        lines += ["", f"## {kind[0].upper()}{kind[1:]}", "", "| | tried with | |", "| --- | --- | --- |"]
        lines += [line(row) for row in all_rows if row.kind == kind]
    return "\n".join([*lines, ""])


def line(row: Row) -> str:
    settings = f"`{row.settings}`" if row.settings else ""
    return f"| `{row.name}` | {settings} | {row.outcome}{f': … {row.said} …' if row.said else ''} |"


def write() -> None:
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{tables()}\n{END}{rest.partition(END)[2]}", "utf-8")
