"""Runs on several machines, for real: `make cluster-test`. Two network namespaces, and a SLURM of one machine."""

import getpass
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import PROJECT, environment

from mnist_lightning.runs.weights import read_checkpoint

pytestmark = pytest.mark.cluster
RUN = (
    "data=digits", "data.val_size=100", "model=mlp", "model.dropout=0", "trainer.max_epochs=3", "~callbacks.figures",
)  # fmt: skip
CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
AuthType=auth/munge
SlurmUser=root
SlurmdUser=root
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
SlurmdParameters=config_overrides
SwitchType=switch/none
MpiDefault=none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
JobRequeue=1
KillWait=10
MinJobAge=60
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 Boards=1 SocketsPerBoard=1 CoresPerSocket=4 ThreadsPerCore=1
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""
JOB = """#!/bin/bash
#SBATCH --ntasks-per-node=2
#SBATCH --nodes=1
#SBATCH --signal=USR1@60
#SBATCH --requeue
#SBATCH --open-mode=append
srun {python} {project}/train.py {words}
"""


def results_of(run: Path) -> dict[str, Any]:
    return json.loads((run / "results.json").read_text())


def train(*words: str) -> list[str]:
    return [sys.executable, str(PROJECT / "train.py"), *words]


def wait_until(condition: Callable[[], Any], why: Callable[[], str] = str, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, why()
        time.sleep(0.1)


@pytest.fixture
def machines() -> Iterator[list[list[str]]]:
    """What to begin a command with, so that it runs on the first or the second of two machines that see each other."""
    if not shutil.which("ip"):
        pytest.skip("the program `ip` is not installed (Debian: iproute2)")
    names = [f"mnist{os.getpid()}{letter}" for letter in "ab"]
    try:
        for name in names:
            if (made := subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)).returncode:
                pytest.skip(f"network namespaces are not permitted here: {made.stderr.strip()}")
        subprocess.run(
            f"ip link add m0 netns {names[0]} type veth peer name m1 netns {names[1]}", shell=True, check=True
        )
        for number, name in enumerate(names):
            for words in (
                f"addr add 10.77.0.{number + 1}/24 dev m{number}",
                f"link set m{number} up",
                "link set lo up",
            ):
                subprocess.run(["ip", "-n", name, *words.split()], check=True)
        yield [
            ["ip", "netns", "exec", name, "env", f"GLOO_SOCKET_IFNAME=m{number}", f"NODE_RANK={number}"]
            for number, name in enumerate(names)
        ]
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


def torchrun(machine: list[str], *words: str) -> list[str]:
    launcher = "torch.distributed.run --nnodes=2 --nproc-per-node=1 --master-addr=10.77.0.1 --master-port=29511"
    rank = machine[-1].partition("=")[2]
    program = [sys.executable, "-m", *launcher.split(), f"--node-rank={rank}", str(PROJECT / "train.py")]
    return [*machine[:-1], *program, *RUN, "trainer=ddp", "trainer.devices=1", "trainer.num_nodes=2", *words]


def by_hand(machine: list[str], *words: str) -> list[str]:
    variables = ["MASTER_ADDR=10.77.0.1", "MASTER_PORT=29512"]
    return [*machine, *variables, *train(*RUN, "trainer=ddp", "trainer.devices=1", "trainer.num_nodes=2", *words)]


def together(folder: Path, *commands: list[str]) -> list[tuple[int, str]]:
    """Run commands at the same time, and return their exit statuses and what they wrote to stderr."""
    started = [
        subprocess.Popen(
            words, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for words in commands
    ]
    said = [process.communicate(timeout=200)[1] for process in started]
    return [(process.returncode, text) for process, text in zip(started, said, strict=True)]


@pytest.mark.parametrize("starts", [torchrun, by_hand])
def test_two_machines_train_one_run(
    starts: Callable[..., list[str]], machines: list[list[str]], tmp_path: Path
) -> None:
    commands = [starts(machine, "output_dir=run", "resume=auto") for machine in machines]
    for status, said in together(tmp_path, *commands):
        assert (status, "Traceback" in said) == (0, False), said
    results = results_of(tmp_path / "run")
    assert (results["status"], results["devices"], len(results["epochs"])) == ("finished", 2, 3)
    assert (results["test"]["total"], results["val"]["total"]) == (360, 100)
    subprocess.run(train(*RUN, "output_dir=alone"), cwd=tmp_path, env=environment(), check=True, capture_output=True)
    alone, both = (
        read_checkpoint(tmp_path / name / "checkpoints" / "last.ckpt")["state_dict"] for name in ("alone", "run")
    )
    for mine, other in zip(both.values(), alone.values(), strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-5)


@pytest.mark.parametrize("starts", [torchrun, by_hand])
def test_without_a_common_directory_each_machine_says_so(
    starts: Callable[..., list[str]], machines: list[list[str]], tmp_path: Path
) -> None:
    started = time.monotonic()
    for status, said in together(tmp_path, *(starts(machine) for machine in machines)):
        assert status
        own = [line for line in said.splitlines() if line.startswith("train.py: ")]
        assert own == [
            "train.py: output_dir=null: all processes of a run need one directory, on every machine: add output_dir=DIR"
        ], said
    assert time.monotonic() - started < 30
    assert not list(tmp_path.iterdir())


def test_two_machines_share_a_search(machines: list[list[str]], tmp_path: Path) -> None:
    """The same command on both: each trial once, all in one table."""
    words = (
        "sweep=search", "data=digits", "data.val_size=100", "model=mlp", "trainer.max_epochs=2", "~callbacks.figures",
        "hydra.sweeper.trials=6", "hydra.sweep.dir=search",
    )  # fmt: skip
    commands = [[*machine[:-1], *train(*words)] for machine in machines]
    for status, said in together(tmp_path, *commands):
        assert (status, said) == (0, "")
    runs = sorted(path.parent.name for path in tmp_path.glob("search/*/results.json"))
    assert [name.partition("_")[0] for name in runs] == list("012345")
    assert {results_of(tmp_path / "search" / name)["status"] for name in runs} <= {"finished", "interrupted"}
    assert len({results_of(tmp_path / "search" / name)["command"][2] for name in runs}) == 6


class Slurm:
    """A SLURM of this machine alone, in a temporary folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.env = folder, environment() | {"SLURM_CONF": str(folder / "slurm.conf")}

    def do(self, *words: str, **options: Any) -> str:
        return subprocess.run(words, env=self.env, check=True, capture_output=True, text=True, **options).stdout

    def state(self, job: str) -> str:
        return self.do("squeue", "--noheader", "--states=all", "--format=%T", f"--jobs={job}").strip()

    def wait(self, job: str, seconds: float = 180) -> str:
        """Return how a job ended."""
        over = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")
        wait_until(lambda: self.state(job) in over, lambda: self.state(job), seconds)
        return self.state(job)


def port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def slurm() -> Iterator[Slurm]:
    """The daemons of SLURM and of munge, by which it knows who asks."""
    programs = ("slurmctld", "slurmd", "munged", "srun", "sbatch", "scontrol")
    if missing := [program for program in programs if not shutil.which(program)]:
        pytest.skip(f"{', '.join(missing)} can't be found (Debian: slurm-wlm and munge)")
    if getpass.getuser() != "root":
        pytest.skip("only root can set up a SLURM")
    folder = Path(subprocess.run(["mktemp", "-d"], capture_output=True, text=True, check=True).stdout.strip())
    folder.chmod(0o755)
    (folder / "state").mkdir()
    (folder / "spool").mkdir()
    host = socket.gethostname().partition(".")[0]
    (folder / "slurm.conf").write_text(CONFIGURATION.format(host=host, folder=folder, ports=(port(), port())))
    cluster = Slurm(folder)
    daemons: list[subprocess.Popen[bytes]] = []
    has_munge = subprocess.run(["sh", "-c", "munge -n </dev/null"], capture_output=True).returncode == 0
    commands = [["slurmctld", "-D"], ["slurmd", "-D", "-N", host]]
    if not has_munge:
        subprocess.run("mkdir -p /run/munge && chown munge /run/munge /etc/munge/munge.key", shell=True, check=True)
        commands.insert(0, ["setpriv", "--reuid=munge", "--clear-groups", "munged", "--foreground"])
    try:
        for command in commands:
            with (folder / f"{command[0]}.output").open("wb") as output:
                daemons.append(subprocess.Popen(command, env=cluster.env, stdout=output, stderr=output))
            time.sleep(1)
        idle = ["sinfo", "--noheader", "--format=%T"]
        logs = lambda: "\n".join(file.read_text() for file in folder.glob("*.[lo][ou][gt]*"))  # noqa: E731
        wait_until(
            lambda: subprocess.run(idle, env=cluster.env, capture_output=True, text=True).stdout.strip() == "idle",
            logs, seconds=30,
        )  # fmt: skip
        yield cluster
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        shutil.rmtree(folder, ignore_errors=True)


def test_the_tasks_of_one_srun_are_one_run(slurm: Slurm, tmp_path: Path) -> None:
    words = [*RUN, "trainer=ddp", "trainer.devices=2", "output_dir=run"]
    slurm.do("srun", "--ntasks-per-node=2", "--nodes=1", *train(*words), cwd=tmp_path, timeout=200)
    results = results_of(tmp_path / "run")
    assert (results["status"], results["devices"], results["test"]["total"]) == ("finished", 2, 360)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize(
    ("options", "words", "message"),
    [
        (["--ntasks-per-node=2"], [], "output_dir=null: all processes of a run need one directory"),
        (["--ntasks=2"], ["output_dir=run"], "--ntasks-per-node"),
        (["--ntasks-per-node=2"], ["output_dir=run", "trainer.devices=1"], "devices=1"),
    ],
)
def test_a_wrong_srun_ends_at_once_with_one_message(
    options: list[str], words: list[str], message: str, slurm: Slurm, tmp_path: Path
) -> None:
    command = ["srun", "--nodes=1", *options, *train(*RUN, "trainer=ddp", "trainer.devices=2", *words)]
    ended = subprocess.run(command, env=slurm.env, cwd=tmp_path, capture_output=True, text=True, timeout=100)
    said = [line for line in ended.stderr.splitlines() if not line.startswith(("srun: ", "slurmstepd: "))]
    assert ended.returncode == 2, ended.stderr
    assert len(said) == 1 and message in said[0], ended.stderr
    assert not list(tmp_path.iterdir())


def epochs_of(run: Path) -> int:
    try:
        return len(results_of(run)["epochs"])
    except (OSError, ValueError):
        return 0


@pytest.mark.parametrize("how", ["scancel --signal=USR1", "scontrol requeue"])
def test_a_preempted_job_goes_on_in_its_directory(how: str, slurm: Slurm, tmp_path: Path) -> None:
    words = [*RUN, "trainer=ddp", "trainer.devices=2", "output_dir=run", "resume=auto", "trainer.max_epochs=30"]
    script = tmp_path / "job.sh"
    script.write_text(JOB.format(python=sys.executable, project=PROJECT, words=" ".join(words)))
    log = tmp_path / "log"
    job = slurm.do("sbatch", "--parsable", f"--output={log}", str(script), cwd=tmp_path).strip()
    run = tmp_path / "run"
    wait_until(lambda: epochs_of(run) >= 2, lambda: log.read_text() if log.exists() else "no output")
    slurm.do(*how.split(), job)
    wait_until(lambda: "Restarts=1" in slurm.do("scontrol", "show", "job", job), log.read_text, seconds=60)
    wait_until(lambda: slurm.state(job) == "PENDING", log.read_text, seconds=30)
    slurm.do("scontrol", "update", f"jobid={job}", "starttime=now")  # SLURM would wait for two minutes
    assert slurm.wait(job) == "COMPLETED", log.read_text()
    results = results_of(run)
    assert (results["status"], [epoch["epoch"] for epoch in results["epochs"]]) == ("finished", [*range(1, 31)])
    text = log.read_text()
    assert "Traceback" not in text
    assert ("asked to make room" in text) == (how.startswith("scancel"))


def test_a_sweep_by_submitit(slurm: Slurm, tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="the extra `slurm` is not installed")
    words = ("-m", "seed=0,1", *RUN, "hydra/launcher=slurm", f"hydra.sweep.dir={tmp_path}/sweep")
    ended = subprocess.run(train(*words), cwd=PROJECT, env=slurm.env, capture_output=True, text=True, timeout=200)
    assert ended.returncode == 0, ended.stderr
    runs = sorted(path.parent for path in tmp_path.glob("sweep/*/results.json"))
    assert [results_of(run)["status"] for run in runs] == ["finished"] * 2


def test_a_cancelled_job_has_everything_saved(slurm: Slurm, tmp_path: Path) -> None:
    words = [*RUN, "trainer=ddp", "trainer.devices=2", "output_dir=run", "trainer.max_epochs=500"]
    command = ["srun", "--nodes=1", "--ntasks-per-node=2", "--job-name=cancelled", *train(*words)]
    process = subprocess.Popen(command, env=slurm.env, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: epochs_of(tmp_path / "run") >= 2)
    slurm.do("scancel", "--name=cancelled")
    _, text = process.communicate(timeout=60)
    assert "Traceback" not in text
    assert text.count("train.py: terminated. Go on from its last checkpoint") == 1, text
    assert results_of(tmp_path / "run")["status"] == "interrupted"
