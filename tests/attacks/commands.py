"""What is typed at a hostile run or sweep, and what may come of it."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from attacks.scene import Ended, Scene, State
from attacks.spoiling import Spoil

LIMIT = 60  # seconds
ESCAPES = "\x1b[2J\x1b]0;x\x07\x9b1m\u202e"  # clear the screen, name the window, write to the left
MOST_MEGABYTES = 2048
LOADS = (  # a person's own script; what load_run refuses, it says
    "import sys; from mnist_lightning import load_run; from mnist_lightning.runs.errors import RunError\n"
    "try: print(load_run(sys.argv[1]).epochs)\n"
    "except RunError as error: print(error, file=sys.stderr); sys.exit(2)"
)


class Expected(Enum):
    """What is right for a command."""

    LOOK = "answers, or refuses, and touches nothing beside the run"
    REFUSAL = "refuses by one message, and touches nothing, the run neither"
    SUCCESS = "does as it is told: else nothing of the other payloads would say anything"
    ALARM = "is a hostile program itself, so that the alarms are heard"


class Problem(Enum):
    """What must not come of a command."""

    TOUCHED = "touched"
    EXECUTED = "executed"
    CONNECTED = "connected"
    TRACEBACK = "traceback"
    SLOW = "too slow"
    LARGE = "too large"
    STATUS = "status"
    MESSAGE = "message"


@dataclass(frozen=True)
class Command:
    """Words for Python; {run} and {sweep} stand for the directories, relative to where they are typed.

    Args:
        limit: seconds after which it is stopped.
    """

    words: tuple[str, ...]
    expected: Expected = Expected.LOOK
    limit: float = LIMIT
    alarm: Problem | None = None  # that must be heard of a hostile program

    def typed(self, scene: Scene) -> list[str]:
        places = {name: str(getattr(scene, name).relative_to(scene.work)) for name in ("run", "sweep")}
        return [
            word.replace("{run}", places["run"]).replace("{sweep}", places["sweep"]) if "{" in word else word
            for word in self.words
        ]


def looks(module: str, *words: str) -> Command:
    return Command(("-m", f"mnist_lightning.{module}", *words))


def goes_on(*words: str, expected: Expected = Expected.REFUSAL) -> Command:
    return Command(("train.py", *words), expected)


LOAD = Command(("-c", LOADS, "{run}"))
EVALUATE = looks("evaluate", "{run}")
EVALUATE_JSON = looks("evaluate", "{run}", "--json")
EVALUATE_BEST = looks("evaluate", "{run}/checkpoints/best.ckpt")
PREDICT = looks("predict", "{run}", "picture.png", "--json")
EXPORT = looks("export", "{run}")
SERVE = looks("serve", "{run}", "--no-browser", "--port", "0")  # of runs that are refused: else it would go on
COMPARE = looks("compare", "{run}")
COMPARE_SWEEP = looks("compare", "{sweep}")
COMPARE_ALL = looks("compare", "runs")
RESUME = goes_on("resume={run}", "trainer.max_epochs=2")
RESUME_SWEEP = goes_on("resume={sweep}")
SWEEP_DIR = goes_on("-m", "data=digits", "seed=0,1", "hydra.sweep.dir={sweep}")
OWN = goes_on("resume={run}", "trainer.max_epochs=2", expected=Expected.LOOK)
OWN_SWEEP = goes_on("resume={sweep}", expected=Expected.LOOK)


@dataclass(frozen=True)
class Payload:
    """One way to be hostile.

    Args:
        kind: what of a run or sweep is abused.
        name: says how; unique within its kind.
        spoil: does it to a scene.
        commands: what is typed then, one after the other.
    """

    kind: str
    name: str
    spoil: Spoil
    commands: tuple[Command, ...]


def of_kind(kind: str, *commands: Command) -> Callable[..., Payload]:
    """Return what makes payloads of one kind, for these commands where no others are named."""

    def made(name: str, spoil: Spoil, *others: Command) -> Payload:
        return Payload(kind, name, spoil, others or commands)

    return made


@dataclass
class Outcome:
    """What came of one command."""

    payload: Payload
    command: Command
    typed: list[str]
    ended: Ended
    problems: dict[Problem, str]

    @property
    def is_refusal(self) -> bool:
        return self.ended.status in (1, 2)

    @property
    def is_wrong(self) -> bool:
        """Return whether it is not as expected; of a hostile program, that its alarm was not heard."""
        if self.command.expected is Expected.ALARM:
            return self.command.alarm not in self.problems
        return bool(self.problems)


def meet(payload: Payload, scene: Scene) -> list[Outcome]:
    """Spoil the run, and type each command at it."""
    payload.spoil(scene)
    return [watched(payload, command, scene) for command in payload.commands]


def watched(payload: Payload, command: Command, scene: Scene) -> Outcome:
    """Run one command, and compare what is there afterwards with what was there before."""
    may_change = () if command.expected is Expected.REFUSAL else (scene.run, scene.sweep)
    typed = command.typed(scene)
    before = scene.state(but=may_change)
    ended = scene.start(typed, command.limit)
    after = scene.state(but=may_change)
    found = {
        Problem.TOUCHED: differences(before, after, scene),
        Problem.EXECUTED: "the canary sings" if scene.canary.exists() else "",
        Problem.CONNECTED: f"to port {scene.port}" if scene.is_connected() else "",
    }
    scene.canary.unlink(missing_ok=True)
    for problem, check in CHECKS.items():
        found[problem] = check(ended, command.expected)
    return Outcome(payload, command, typed, ended, {problem: said for problem, said in found.items() if said})


def differences(before: State, after: State, scene: Scene) -> str:
    names = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    shown = [ascii(bytes.fromhex(name).decode(errors="replace").removeprefix(f"{scene.folder}/")) for name in names]
    return ", ".join(shown[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def traceback(ended: Ended, _: Expected) -> str:
    """Return the message of the error whose traceback was printed."""
    lines = f"{ended.output}\n{ended.errors}".splitlines()
    if not any("Traceback (most recent" in line for line in lines):
        return ""
    return ascii(next((line for line in reversed(lines) if line and not line.startswith(" ")), ""))[:200]


def slow(ended: Ended, _: Expected) -> str:
    return f"stopped after {ended.seconds:.0f} s" if ended.is_late else ""


def large(ended: Ended, _: Expected) -> str:
    return f"{ended.megabytes:,.0f} MB" if ended.megabytes > MOST_MEGABYTES else ""


def wrong_status(ended: Ended, expected: Expected) -> str:
    right = {Expected.REFUSAL: (2,), Expected.SUCCESS: (0,)}.get(expected, (0, 1, 2))
    return "" if ended.status in right or ended.is_late else f"{ended.status}: {ended.errors[-300:]!a}"


def unfit_message(ended: Ended, expected: Expected) -> str:
    """Return what is wrong with what was said: raw control characters, or more than one message where it refuses."""
    said = ended.output + ended.errors
    raw = sorted({ascii(character) for character in said if not (character.isprintable() or character in "\n")})
    if raw:
        return f"raw {' '.join(raw[:5])}"
    if expected is Expected.REFUSAL and (ended.output or ended.errors.count("\n") != 1):
        return f"not one line: {said[:200]!a}"
    if ended.status in (1, 2) and not ended.errors:
        return "none"
    return ""


CHECKS: dict[Problem, Callable[[Ended, Expected], str]] = {
    Problem.TRACEBACK: traceback,
    Problem.SLOW: slow,
    Problem.LARGE: large,
    Problem.STATUS: wrong_status,
    Problem.MESSAGE: unfit_message,
}
