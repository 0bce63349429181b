"""Who is who among the processes of a run, whatever started them."""

from pathlib import Path

import pytest
from conftest import scontrol

from mnist_lightning.runs import processes
from mnist_lightning.runs.errors import UsageError
from mnist_lightning.runs.run import is_begun

VARIABLES = (
    *processes.RANKS, "WORLD_SIZE", "TORCHELASTIC_RUN_ID", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID",
    "SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", processes.DIRECTORY_VARIABLE,
)  # fmt: skip


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("variables", "is_main", "is_first", "are_many"),
    [
        ("", True, True, False),
        ("LOCAL_RANK=1", False, False, False),
        ("NODE_RANK=0 LOCAL_RANK=0", True, True, True),
        ("NODE_RANK=1 LOCAL_RANK=0", False, True, True),
        ("RANK=0 LOCAL_RANK=0 WORLD_SIZE=2 TORCHELASTIC_RUN_ID=x", True, True, True),
        ("RANK=1 LOCAL_RANK=0 WORLD_SIZE=2 TORCHELASTIC_RUN_ID=x", False, True, True),
        ("RANK=1 LOCAL_RANK=1 WORLD_SIZE=2 TORCHELASTIC_RUN_ID=x", False, False, True),
        ("SLURM_NTASKS=1 SLURM_PROCID=0 SLURM_LOCALID=0", True, True, False),
        ("SLURM_NTASKS=2 SLURM_PROCID=0 SLURM_LOCALID=0", True, True, True),
        ("SLURM_NTASKS=2 SLURM_PROCID=1 SLURM_LOCALID=0", False, True, True),
        ("SLURM_NTASKS=2 SLURM_PROCID=1 SLURM_LOCALID=1", False, False, True),
        ("SLURM_NTASKS=2 SLURM_PROCID=1 TORCHELASTIC_RUN_ID=x RANK=0 LOCAL_RANK=0 WORLD_SIZE=2", True, True, True),
    ],
)
def test_which_process_it_is(
    variables: str, is_main: bool, is_first: bool, are_many: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, _, value in (word.partition("=") for word in variables.split()):
        monkeypatch.setenv(name, value)
    assert processes.is_main_process() == is_main
    assert processes.is_first_of_machine() == is_first
    processes.check_directory_is_shared("shared")
    if are_many:
        with pytest.raises(UsageError, match=r"^output_dir=null: all processes of a run need one directory, .*=DIR$"):
            processes.check_directory_is_shared(None)
        monkeypatch.setenv(processes.DIRECTORY_VARIABLE, "the first one's")
    processes.check_directory_is_shared(None)


def test_all_processes_find_a_run_that_is_begun_or_none_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_begun(tmp_path)
    (tmp_path / "config.yaml").touch()
    assert is_begun(tmp_path)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert not is_begun(tmp_path), "the first one may just have begun it"
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    assert is_begun(tmp_path)


@pytest.mark.parametrize(
    ("of_array", "status", "asked", "said"),
    [
        ({}, 0, "requeue 7", "SLURM starts job 7 again"),
        ({"SLURM_ARRAY_JOB_ID": "5", "SLURM_ARRAY_TASK_ID": "2"}, 0, "requeue 5_2", "SLURM starts job 5_2 again"),
        ({}, 1, "requeue 7", "SLURM did not requeue job 7: submit it with sbatch --requeue"),
    ],
)
def test_slurm_is_asked_to_start_the_job_again(
    of_array: dict[str, str], status: int, asked: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not processes.can_be_requeued()
    for name, value in {"SLURM_JOB_ID": "7", **of_array}.items():
        monkeypatch.setenv(name, value)
    scontrol(tmp_path, status)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert processes.can_be_requeued()
    assert processes.requeue() == said
    assert (tmp_path / "asked").read_text() == f"{asked}\n"
