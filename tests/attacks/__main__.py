"""Meet every payload, or some: `make attack-test ARGS="sweeps links"`. Exit status 1 if anything was wrong."""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from attacks.commands import Outcome, Payload, meet
from attacks.payloads import KINDS, everything
from attacks.scene import Material, Scene
from attacks.table import as_markdown, as_text

AT_ONCE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Print each problem as it is found, and then the table."""
    parser = argparse.ArgumentParser(prog="python -m attacks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of payloads' names; kinds: {', '.join(KINDS)}")
    parser.add_argument("--markdown", action="store_true", help="print the table as docs/reliability.md has it")
    parser.add_argument("--list", action="store_true", help="print the payloads, and meet none")
    parser.add_argument("--verbose", action="store_true", help="print what is typed and answered")
    options = parser.parse_args(arguments)
    payloads = [payload for payload in everything() if is_wanted(payload, options.parts)]
    if options.list:
        print("\n".join(ascii(f"{payload.kind}: {payload.name}")[1:-1] for payload in payloads))
        return 0
    outcomes = []
    for outcome in met(payloads):
        outcomes.append(outcome)
        if outcome.is_wrong or options.verbose:
            print(described(outcome), file=sys.stderr, flush=True)
    print(as_markdown(outcomes) if options.markdown else as_text(outcomes))
    return int(any(outcome.is_wrong for outcome in outcomes))


def is_wanted(payload: Payload, parts: Sequence[str]) -> bool:
    return not parts or any(part in f"{payload.kind}: {payload.name}" for part in parts)


def met(payloads: Sequence[Payload], at_once: int = AT_ONCE) -> Iterator[Outcome]:
    """Meet payloads, each in a scratch home of its own, and yield what came of each command as soon as it is known."""
    with tempfile.TemporaryDirectory(prefix="attacks-") as folder:
        material = Material.make(Path(folder) / "material")

        def meet_one(number: int, payload: Payload) -> list[Outcome]:
            scene = Scene(Path(folder) / f"{number}", material)
            try:
                return meet(payload, scene)
            except Exception as error:
                error.add_note(f"in {payload.kind}: {payload.name}")
                raise
            finally:
                scene.close()

        with ThreadPoolExecutor(at_once) as pool:
            for outcomes in pool.map(meet_one, range(len(payloads)), payloads):
                yield from outcomes


def described(outcome: Outcome) -> str:
    """Say of a command what was typed and what came of it."""
    ended = outcome.ended
    words = " ".join(word if "\n" not in word else "'…'" for word in map(shown, outcome.typed))
    lines = [f"{outcome.payload.kind}: {shown(outcome.payload.name)}", f"  python {words}"]
    said = shown(ended.errors.strip())[:300]
    lines += [f"  status {ended.status}, {ended.seconds:.1f} s, {ended.megabytes:,.0f} MB: {said}"]
    lines += [f"  {problem.value.upper()}: {said}" for problem, said in outcome.problems.items()]
    if outcome.is_wrong and not outcome.problems:
        lines += ["  NOT NOTICED"]
    return "\n".join(lines)


def shown(text: str) -> str:
    return ascii(text)[1:-1]


if __name__ == "__main__":
    sys.exit(main())
