"""Which of a run's processes this is, whoever started them: Lightning, torchrun, srun, or a person on each machine."""

import ctypes
import os
import signal
import subprocess
import sys
from contextlib import suppress

from mnist_lightning.runs.errors import UsageError

DIRECTORY_VARIABLE = "MNIST_LIGHTNING_RUN"  # tells processes that Lightning starts where their run is
MAIN_VARIABLE = "MNIST_LIGHTNING_MAIN"  # and which process has started them
PR_SET_PDEATHSIG = 1  # of linux/prctl.h
RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK")


def is_task_of_slurm() -> bool:
    """Return whether srun started this process as one of several."""
    return int(os.environ.get("SLURM_NTASKS", "1")) > 1 and "TORCHELASTIC_RUN_ID" not in os.environ


def is_main_process() -> bool:
    """Return False in the further processes of a run on several devices, which write nothing."""
    names = ("SLURM_PROCID",) if is_task_of_slurm() else RANKS
    return all(os.environ.get(name, "0") == "0" for name in names)


def is_first_of_machine() -> bool:
    """Return whether this process speaks to the terminal of its machine about what goes wrong."""
    return os.environ.get("SLURM_LOCALID" if is_task_of_slurm() else "LOCAL_RANK", "0") == "0"


def check_directory_is_shared(output_dir: str | None) -> None:
    """Raise UsageError where several processes can't agree on a run directory, as none has started the others."""
    are_many = is_task_of_slurm() or int(os.environ.get("WORLD_SIZE", "1")) > 1 or "NODE_RANK" in os.environ
    if are_many and output_dir is None and DIRECTORY_VARIABLE not in os.environ:
        raise UsageError(
            "output_dir=null: all processes of a run need one directory, on every machine: add output_dir=DIR"
        )


def join_others() -> None:
    """Let a further process end when the main one that started it is gone, instead of waiting for it."""
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # it warns of each process that has gone, in many lines
    if is_main_process():
        os.environ[MAIN_VARIABLE] = str(os.getpid())
    elif sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.environ.get(MAIN_VARIABLE, str(os.getppid())) != str(os.getppid()):
            sys.exit(1)  # it was gone before that


def can_be_requeued() -> bool:
    """Return whether a job of SLURM hears by SIGUSR1 that it is to make room: sbatch --signal=USR1@60."""
    return "SLURM_JOB_ID" in os.environ


def requeue() -> str:
    """Ask SLURM to start this job's script again later, and return what became of that."""
    of_array = [os.environ[name] for name in ("SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID") if name in os.environ]
    job = "_".join(of_array) or os.environ["SLURM_JOB_ID"]
    with suppress(OSError, subprocess.SubprocessError):
        subprocess.run(["scontrol", "requeue", job], check=True, capture_output=True, timeout=60)
        return f"SLURM starts job {job} again"
    return f"SLURM did not requeue job {job}: submit it with sbatch --requeue"


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
