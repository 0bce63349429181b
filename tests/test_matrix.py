"""The matrix of what Lightning and Hydra users type: every name has a line, the pages agree, and some lines are tried.

All of them: make matrix-test.
"""

import inspect
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from faults.lab import Lab
from matrix import page
from matrix.rows import KINDS, rows
from matrix.tried import problem

OF_LIBRARIES = {
    "arguments of the Trainer": list(inspect.signature(pl.Trainer).parameters),
    "callbacks": pl.callbacks.__all__,
    "loggers": pl.loggers.__all__,
    "optimizers": [name for name, of in vars(torch.optim).items() if inspect.isclass(of) and name != "lr_scheduler"],
    "schedulers": torch.optim.lr_scheduler.__all__,
}
TRIED = (  # one of each kind, and of each outcome
    "profiler trainer.profiler=simple", "precision trainer.precision=bf16-true", "max_epochs=-1 trainer.max_steps",
    "optimizers LBFGS", "optimizers SparseAdam", "schedulers CyclicLR", "stopping_threshold", "loggers CSVLogger",
    "schedulers StepLR step_size: 0", "hydra.run.dir", "key=null",
)  # fmt: skip


@pytest.mark.parametrize("kind", OF_LIBRARIES)
def test_every_name_of_the_libraries_has_a_line(kind: str) -> None:
    assert {row.name for row in rows() if row.kind == kind} == set(OF_LIBRARIES[kind])


@pytest.mark.parametrize("place", page.PAGES, ids=lambda path: path.name)
def test_pages_are_what_is_tried(place: Path) -> None:
    assert place.read_text("utf-8") == page.written(place), "make matrix-test ARGS=--write"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab(tmp_path_factory.mktemp("matrix"))


@pytest.mark.parametrize("part", TRIED)
def test_some_lines_are_as_expected(part: str, lab: Lab) -> None:
    row = next(row for row in rows() if part in row.title)
    assert row.kind in KINDS and problem(lab, row) is None
