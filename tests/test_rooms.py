"""The house: which room may import from which, and which may import the large libraries."""

import ast
from collections.abc import Sequence
from pathlib import Path

import pytest
from conftest import PROJECT

PACKAGE = PROJECT / "mnist_lightning"
FLOORS = [  # from the ground up: what stands on one floor imports only from the floors below, and from its own room
    ["evaluation", "networks", "runs"],
    ["terminal", "pictures"],
    ["datasets"],
    ["data", "figures"],
    ["training"],
    ["module", "sweeps"],
    ["config", "compare"],
    ["trained", "train", "hydra_plugins"],
    ["evaluate", "predict", "export", "serve", "__init__"],
]
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
MODULES = sorted([*PACKAGE.rglob("*.py"), PROJECT / "train.py", PROJECT / "hydra_plugins" / "sweeps.py"])
MAY_IMPORT = {  # the rooms that may import a library, anywhere in their files
    "hydra": {"config", "train", "hydra_plugins"},
    "omegaconf": {"config", "train", "hydra_plugins"},
    "lightning": {"config", "data", "module", "train", "training"},
    "optuna": {"hydra_plugins", "sweeps"},
    "torch": {"config", "data", "datasets", "evaluate", "evaluation", "export", "figures", "module", "networks", "runs",
              "train", "trained", "training"},
}  # fmt: skip
LIGHT = ("runs", "sweeps", "terminal/command.py", "config", "datasets/mnist.py")  # answer without torch
HEAVY = {"torch", "lightning", "torchmetrics", "torchvision", "matplotlib", "pandas", "scipy", "pydantic"}


def room_of(path: Path) -> str:
    parts = path.relative_to(PROJECT).with_suffix("").parts
    return parts[1] if parts[0] == "mnist_lightning" else parts[0]


def imports(nodes: Sequence[ast.stmt] | ast.AST) -> set[str]:
    """Return the modules that some code imports, anywhere in it but for what is for the type checker alone."""
    found: set[str] = set()
    for node in ast.iter_child_nodes(nodes) if isinstance(nodes, ast.AST) else nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            found |= imports(node)
    return found


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_arrows_run_downward(path: Path) -> None:
    room, found = room_of(path), imports(tree(path))
    own = {name.split(".")[1] for name in found if name.startswith("mnist_lightning.")} - {room}
    upward = {name for name in own & set(FLOOR_OF) if FLOOR_OF[name] >= FLOOR_OF[room]}
    assert not upward, f"{room} stands on floor {FLOOR_OF[room]}"
    libraries = {name.split(".")[0] for name in found}
    assert not {name for name, rooms in MAY_IMPORT.items() if name in libraries and room not in rooms}


@pytest.mark.parametrize("place", LIGHT)
def test_what_answers_a_mistake_imports_nothing_heavy(place: str) -> None:
    paths = list((PACKAGE / place).rglob("*.py")) or [PACKAGE / place]
    for path in paths:
        top = [node for node in tree(path).body if isinstance(node, ast.Import | ast.ImportFrom)]
        assert not {name.split(".")[0] for name in imports(top)} & (HEAVY - ALLOWED.get(path.name, set())), path


ALLOWED = {"weights.py": {"torch"}, "search.py": {"optuna"}}  # they are imported where they are used


def test_rooms_say_what_belongs_in_them() -> None:
    rooms = {path.name: path for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert set(rooms) == {room for room in FLOOR_OF if (PACKAGE / room).is_dir()}
    for name, path in rooms.items():
        [sentence] = tree(path / "__init__.py").body
        assert ast.unparse(sentence).count(". ") == 0, name


def test_names_are_not_mistaken_for_each_other() -> None:
    names = [path.stem for path in MODULES if path.stem != "__init__"]
    twice = {name for name in names if names.count(name) > 1}
    assert twice <= {"sweeps"}, "hydra_plugins/sweeps.py has the name that Hydra requires"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_files_and_functions_are_short(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= 300
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno + 1 <= 45, node.name
