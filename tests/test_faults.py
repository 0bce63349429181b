"""A short form of make fault-test: real processes are killed, and end as if they never had been."""

import re
import signal
from collections.abc import Iterator

import pytest
from faults import kills, others
from faults.lab import KINDS, Facts, Lab


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab(tmp_path_factory.mktemp("lab"))


@pytest.mark.parametrize("kind", list(KINDS)[1:])
def test_killed_runs_go_on_to_the_same_end(kind: str, lab: Lab) -> None:
    """Killed at three moments: in the first process, in the one that goes on, and in the one after."""
    whole = lab.moments(kind)
    assert kills.killed(lab, kind, [whole // 2, whole // 4, whole // 3]) is None


@pytest.mark.parametrize("kind", list(KINDS)[1:])
def test_killed_behind_its_last_step_it_goes_on_to_the_same_end(kind: str, lab: Lab) -> None:
    assert kills.killed(lab, kind, [lab.moments(kind) - 10]) is None


@pytest.mark.parametrize("kind", list(KINDS)[1:4])
def test_a_run_goes_on_within_an_epoch(kind: str, lab: Lab) -> None:
    """Ended after 11, 26 and 55 steps: the images, what is random, and the mean loss go on where they were."""
    name = f"within-{list(KINDS).index(kind)}"
    if "scheduler=onecycle" in KINDS[kind] or "scheduler=cosine" in KINDS[kind]:
        words = [*(word for word in KINDS[kind] if not word.startswith("scheduler=")), "scheduler=plateau"]
    else:
        words = [*KINDS[kind]]
    whole = lab.undisturbed(kind) if words == [*KINDS[kind]] else None
    if whole is None:
        assert lab.run(*words, f"output_dir=whole-{name}")[0] == 0
        whole = Facts(lab.folder / f"whole-{name}")
    status, said = lab.run(*words, f"output_dir={name}", "trainer.max_steps=11")
    assert status == 0, said
    for steps in ("26", "27", "-1"):
        status, said = lab.run(f"resume={name}", f"trainer.max_steps={steps}")
        assert status == 0, said
    assert whole.differences(Facts(lab.folder / name)) is None


def others_but_cold(lab: Lab) -> Iterator[kills.Case]:
    for name, do in others.surroundings(lab):
        if not re.search(r"locale|streams|reader", name):
            yield name, do


@pytest.mark.parametrize("number", range(11))
def test_what_is_around_a_run(number: int, lab: Lab) -> None:
    name, do = list(others_but_cold(lab))[number]
    assert do() is None, name


def test_a_full_disk(lab: Lab) -> None:
    cases = [*others.disks(lab, 12)]
    for number in (2, 7, 10):
        assert cases[number][1]() is None, cases[number][0]


def test_a_damaged_checkpoint_is_noticed(lab: Lab) -> None:
    for name, do in others.damage(lab, flips=20, cuts=4, resumes=1):
        assert do() is None, name


def test_signals(lab: Lab) -> None:
    for name, do in kills.signals(lab, 4, seed=1):
        assert do() is None, name


@pytest.mark.parametrize("after", [0.3, 0.8, 1.5])
def test_a_second_signal_ends_it_at_once_whichever_it_is(after: float, lab: Lab) -> None:
    assert kills.stopped(lab, list(KINDS)[1], after, (signal.SIGINT, signal.SIGHUP)) is None


def test_a_named_checkpoint_is_the_one_that_is_taken(lab: Lab) -> None:
    kind = list(KINDS)[1]
    each = {
        "_target_": "mnist_lightning.training.checkpoints.RunCheckpoint", "dirpath": "named/checkpoints",
        "filename": "'{epoch}'", "save_top_k": "-1", "monitor": "val/loss", "save_on_train_epoch_end": "true",
        "auto_insert_metric_name": "false",
    }  # fmt: skip
    words = [f"+callbacks.each.{name}={value}" for name, value in each.items()]
    status, said = lab.run(*KINDS[kind], *words, "output_dir=named")
    assert status == 0, said
    status, said = lab.run("resume=named/checkpoints/0.ckpt")
    assert status == 0, said
    assert re.findall(r"(?m)^  (\d)/3  .* s$", said) == ["2", "3"], said
    assert (
        lab.undisturbed(list(KINDS)[1]).found["weights_sha256"] == Facts(lab.folder / "named").found["weights_sha256"]
    )
    status, said = lab.run("resume=named/checkpoints/9.ckpt")
    assert (status, "There are: 0.ckpt" in said) == (2, True), said
