"""The table of an attack: a line for each kind of payload."""

import subprocess
from collections.abc import Iterable, Sequence
from datetime import date

from attacks.commands import Expected, Outcome, Problem
from attacks.scene import PROJECT

HEADER = (
    "kind", "payloads", "commands", "refused", "answered", "touched", "executed", "connected", "tracebacks", "other",
    "slowest", "most memory",
)  # fmt: skip
SHOWN = (Problem.TOUCHED, Problem.EXECUTED, Problem.CONNECTED, Problem.TRACEBACK)


def rows(outcomes: Sequence[Outcome]) -> list[list[str]]:
    """Return the lines, the kinds in their order; the last is the sum. Hostile programs as controls are left out."""
    counted = [outcome for outcome in outcomes if outcome.command.expected is not Expected.ALARM]
    kinds = list(dict.fromkeys(outcome.payload.kind for outcome in counted))
    lines = [row(kind, [outcome for outcome in counted if outcome.payload.kind == kind]) for kind in kinds]
    return [*lines, row("all", counted)] if counted else []


def row(name: str, outcomes: Sequence[Outcome]) -> list[str]:
    right = [outcome for outcome in outcomes if not outcome.problems]
    counts = [
        len({(outcome.payload.kind, outcome.payload.name) for outcome in outcomes}),
        len(outcomes),
        sum(outcome.is_refusal for outcome in right),
        sum(not outcome.is_refusal for outcome in right),
        *(sum(problem in outcome.problems for outcome in outcomes) for problem in SHOWN),
        sum(bool(outcome.problems.keys() - set(SHOWN)) for outcome in outcomes),
    ]
    slowest = max(outcome.ended.seconds for outcome in outcomes)
    most = max(outcome.ended.megabytes for outcome in outcomes)
    return [name, *(f"{count:,}" for count in counts), f"{slowest:.1f} s", f"{most:,.0f} MB"]


def alarms(outcomes: Iterable[Outcome]) -> str:
    """Say how many programs that do harm were noticed: else the table would say nothing."""
    some = [outcome for outcome in outcomes if outcome.command.expected is Expected.ALARM]
    return f"{sum(not outcome.is_wrong for outcome in some)} of {len(some)} programs that do harm were noticed."


def as_text(outcomes: Sequence[Outcome]) -> str:
    lines = [list(HEADER), *rows(outcomes)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    aligned = [
        "  ".join(cell.rjust(width) if place else cell.ljust(width) for place, (cell, width) in enumerate(cells))
        for cells in (list(zip(line, widths, strict=True)) for line in lines)
    ]
    return "\n".join([*aligned, "", alarms(outcomes)])


def as_markdown(outcomes: Sequence[Outcome]) -> str:
    lines = [HEADER, (":---", *["---:"] * (len(HEADER) - 1)), *rows(outcomes)]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=PROJECT, capture_output=True, text=True)
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{table}\n\n{alarms(outcomes)} {date.today():%Y-%m-%d}, commit {commit.stdout.strip()}."
