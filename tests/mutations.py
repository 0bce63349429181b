"""Tests of the tests: small faults are put into a module one at a time, and its tests are to notice them.

`make mutation-test` takes 40 of all faults that each module of TESTS can have: a comparison turned, a sign, a number, a
condition, a lost return or call. `ARGS="leaderboard measures"` takes these modules alone. Texts and types are left as
they are. Two copies of the checkout are worked on, side by side, by processes that have imported the libraries already.
"""

import ast
import gc
import importlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

PROJECT = Path(__file__).parent.parent
SAMPLE, ENOUGH, COPIES = 40, 36, 2
COPIED = ("conf", "hydra_plugins", "mnist_lightning", "benchmarks", "tests")
LIBRARIES = (
    "torch", "lightning.pytorch", "torchmetrics.classification", "torchvision", "pandas", "scipy.stats",
    "scipy.ndimage", "matplotlib.figure", "sklearn.metrics", "hydra", "pydantic", "PIL.Image", "rich.table",
)  # fmt: skip
TESTS = {  # of each module: what pytest is given, the quick ones first
    "sweeps/leaderboard.py": ["tests/sweeps/test_leaderboard.py", "tests/test_compare.py", "-k", "not help"],
    "evaluation/measures.py": ["tests/evaluation/test_measures.py"],
    "data.py": ["tests/test_data_steps.py", "tests/test_data.py", "-k", "not torchvision"],
    "module.py": ["tests/test_module_steps.py"],
    "training/recorder.py": ["tests/training/test_recorder_steps.py"],
    "training/checkpoints.py": ["tests/training/test_checkpoints_steps.py"],
    "runs/seal.py": ["tests/runs/test_seal_steps.py"],
    "runs/run.py": ["tests/runs/test_run_steps.py"],
    "pictures/prepare.py": ["tests/pictures/test_steps.py", "tests/pictures/test_prepare.py"],
    "pictures/picture_files.py": ["tests/pictures/test_picture_files.py"],
}
UNSEEN = {  # faults that nobody could notice: module, what is in the line, the change; and why
    ("evaluation/measures.py", "strict=True", "True -> False"): "they are of equal lengths",
    ("evaluation/measures.py", "stable=True", "True -> False"): "PyTorch's sort on a CPU is stable either way",
    ("training/checkpoints.py", "super()", "super().__init__() -> None"): "Lightning's own has nothing to set up",
    ("runs/seal.py", "indent=2", "2 -> 3"): "how seal.json is laid out says nothing",
    ("data.py", "len(self.arrays[0])", "0 -> 1"): "there are as many labels as images",
    ("data.py", "resumed_at", "0 -> 1"): "of any epoch no batch was done before",
    ("pictures/prepare.py", "max(small.max(), 1)", "1 -> 2"): "some pixel of a digit that was found has more ink",
}

TURNED: dict[type, list[type]] = {
    ast.Lt: [ast.LtE, ast.Gt], ast.LtE: [ast.Lt, ast.GtE], ast.Gt: [ast.GtE, ast.Lt], ast.GtE: [ast.Gt, ast.LtE],
    ast.Eq: [ast.NotEq], ast.NotEq: [ast.Eq], ast.Is: [ast.IsNot], ast.IsNot: [ast.Is], ast.In: [ast.NotIn],
    ast.NotIn: [ast.In], ast.Add: [ast.Sub], ast.Sub: [ast.Add], ast.Mult: [ast.Div], ast.Div: [ast.Mult],
    ast.FloorDiv: [ast.Mult], ast.Mod: [ast.Mult], ast.Pow: [ast.Mult], ast.BitAnd: [ast.BitOr],
    ast.BitOr: [ast.BitAnd], ast.And: [ast.Or], ast.Or: [ast.And], ast.USub: [ast.UAdd],
}  # fmt: skip


@dataclass
class Fault:
    """One node of a module with another value in one of its fields: in which line, from what to what, the source."""

    line: int
    change: str
    source: str


def faults(source: str) -> list[Fault]:
    """Return all faults that a module can have, each with the whole source that has it."""
    tree = ast.parse(source)
    found = []
    for node, line in code(tree):
        for field, value in alternatives(node):
            before, kept = ast.unparse(node), getattr(node, field)
            setattr(node, field, value)
            change = " -> ".join(text.split("\n")[0] for text in (before, ast.unparse(node)))
            found.append(Fault(line, change, ast.unparse(tree)))
            setattr(node, field, kept)
    return found


def code(node: ast.AST, line: int = 0, in_type: bool = False) -> Iterator[tuple[ast.AST, int]]:
    """Yield the nodes that do something, with their lines: of a type only the calls in it, as Field(ge=1)."""
    line = getattr(node, "lineno", line)
    if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "__name__ == '__main__'"):
        return
    in_type = in_type and not isinstance(node, ast.Call)
    if not in_type:
        yield node, line
    for name, field in ast.iter_fields(node):
        for child in field if isinstance(field, list) else [field]:
            if isinstance(child, ast.AST) and not isinstance(child, ast.operator | ast.cmpop | ast.expr_context):
                yield from code(child, line, in_type or name in ("annotation", "returns"))


def alternatives(node: Any) -> Iterator[tuple[str, Any]]:
    """Yield for a node which field may have which other value."""
    match node:
        case ast.Compare():
            for place, op in enumerate(node.ops):
                yield from (("ops", [*node.ops[:place], other(), *node.ops[place + 1 :]]) for other in TURNED[type(op)])
        case ast.BinOp() | ast.BoolOp() | ast.AugAssign():
            yield from (("op", other()) for other in TURNED.get(type(node.op), []))
        case ast.UnaryOp(op=ast.USub()):
            yield "op", ast.UAdd()
        case ast.UnaryOp(op=ast.Not() | ast.Invert()):
            yield "operand", ast.UnaryOp(node.op, node.operand)
        case ast.Constant(value=bool()):
            yield "value", not node.value
        case ast.Constant(value=int() | float() as number):
            yield "value", number + 1
        case ast.If() | ast.While() | ast.IfExp():
            yield "test", ast.UnaryOp(ast.Not(), node.test)
        case ast.comprehension(ifs=[first, *more]):
            yield "ifs", [ast.UnaryOp(ast.Not(), first), *more]
        case ast.Return(value=ast.expr()) | ast.Expr(value=ast.Call()):
            yield "value", ast.Constant(None)


def passes(copy: Path, tests: Sequence[str], limit: float) -> bool:
    """Return whether the tests pass in a copy, by a process of its own that ends within `limit` seconds."""
    process = os.fork()
    if not process:
        os.setsid()
        os.chdir(copy)
        nowhere = os.open(copy / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(nowhere, stream)
        status = 3
        try:
            status = int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests]))
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(status)
    ends = time.monotonic() + limit
    while not (ended := os.waitpid(process, os.WNOHANG))[0]:
        if time.monotonic() > ends:
            os.killpg(process, signal.SIGKILL)
            os.waitpid(process, 0)
            return False
        time.sleep(0.02)
    return ended[1] == 0


def check(module: str, copies: "SimpleQueue[Path]") -> tuple[int, int, int, float]:
    """Print the faults of a module that its tests miss; return how many were tried, noticed and unseen, and seconds."""
    path, tests = Path("mnist_lightning", module), TESTS[module]
    source, began = (PROJECT / path).read_text(), time.monotonic()
    copy = copies.get()
    if not passes(copy, tests, limit=600):
        print(f"{path}: its tests fail without any fault:\n{(copy / 'output.txt').read_text()[-3000:]}", flush=True)
        copies.put(copy)
        return SAMPLE, 0, 0, 0.0
    copies.put(copy)
    limit = 20 + 4 * (time.monotonic() - began)
    possible = faults(source)
    sample = random.Random(0).sample(possible, min(SAMPLE, len(possible)))

    def is_missed(fault: Fault) -> bool:
        copy = copies.get()
        (copy / path).write_text(fault.source)
        try:
            return passes(copy, tests, limit)
        finally:
            (copy / path).write_text(source)
            copies.put(copy)

    with ThreadPoolExecutor(COPIES) as pool:
        missed = [fault for fault, is_so in zip(sample, pool.map(is_missed, sample), strict=True) if is_so]
    unseen = 0
    for fault in sorted(missed, key=lambda fault: fault.line):
        text = source.split("\n")[fault.line - 1].strip()
        known = [
            why for (of, part, change), why in UNSEEN.items() if (of, change) == (module, fault.change) and part in text
        ]
        unseen += bool(known)
        print(f"{path}:{fault.line}: {fault.change}: {known[0] if known else 'MISSED'}\n    {text}", flush=True)
    return len(sample), len(sample) - len(missed), unseen, time.monotonic() - began


def main(wanted: Sequence[str]) -> int:
    modules = [module for module in TESTS if not wanted or Path(module).stem in wanted]
    sys.dont_write_bytecode = True  # two faults of one second and one size would share it
    os.environ |= {"PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    for library in LIBRARIES:
        importlib.import_module(library)
    gc.freeze()  # what is imported is no garbage: the processes need not look
    with tempfile.TemporaryDirectory() as scratch:
        copies: SimpleQueue[Path] = SimpleQueue()
        for number in range(COPIES):
            copy = Path(scratch, str(number))
            for name in COPIED:
                shutil.copytree(PROJECT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
            for file in PROJECT.glob("[!.]*.*"):
                shutil.copy(file, copy)
            copies.put(copy)
        rows = {module: check(module, copies) for module in modules}
    print(f"\n{'module':<28}{'faults':>8}{'noticed':>9}{'unseen':>8}{'missed':>8}{'seconds':>9}")
    for module, (tried, noticed, unseen, seconds) in rows.items():
        missed = tried - noticed - unseen
        print(f"{module:<28}{tried:>8}{noticed:>9}{unseen:>8}{missed:>8}{seconds:>9.0f}")
    return int(any(noticed + unseen < tried * ENOUGH / SAMPLE for tried, noticed, unseen, _ in rows.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
