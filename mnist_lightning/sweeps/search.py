"""A search for good settings with Optuna: the study is asked for trials, hears of each epoch, and is told the end."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from filelock import FileLock, Timeout
from optuna.distributions import BaseDistribution, check_distribution_compatibility
from optuna.samplers import TPESampler
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.trial import Trial, TrialState

from mnist_lightning.runs.errors import UsageError
from mnist_lightning.runs.run import is_in_use, peek
from mnist_lightning.sweeps.leaderboard import is_cost
from mnist_lightning.sweeps.sweep import STUDY_FILE, Job, Sweep, claim_file

OPEN = (TrialState.RUNNING, TrialState.WAITING)


class Search:
    """The trials of a study, each a job of the sweep of the same number; the goal is a metric of the held-out images.

    A trial stays open in the study until its job is answered: finished, diverged or given up. So a second call goes on
    with the open ones before it asks for new ones. Several processes, on several machines that share the sweep's
    directory, may do that at once: each holds a file for each trial that it works on.

    `space` is what is searched, {setting: distribution}, and `fixed` the overrides of every trial, which has so many
    `epochs`: after the last there is nothing to give up. For the others see hydra_plugins.sweeps.SearchSweeper.
    """

    def __init__(
        self, sweep: Sweep, space: Mapping[str, BaseDistribution], fixed: Sequence[str],
        epochs: int, trials: int, startup_trials: int, seed: int, metric: str, storage: str | None = None,
    ) -> None:  # fmt: skip
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.sweep, self.space, self.fixed, self.epochs, self.trials = sweep, dict(space), list(fixed), epochs, trials
        self.metric, self.seed, self.startup_trials = metric, seed, startup_trials
        self.asked: dict[Path, tuple[Trial, Job]] = {}
        self.claims: dict[int, FileLock] = {}
        with sweep.shared_lock:
            self.study = optuna.create_study(
                storage=self._storage(storage), study_name=sweep.study if storage else "search",
                direction="minimize" if is_cost(metric) else "maximize", load_if_exists=True,
                pruner=optuna.pruners.MedianPruner(n_startup_trials=startup_trials, n_warmup_steps=2),
            )  # fmt: skip
            self._check()

    def _storage(self, address: str | None) -> BaseStorage:
        """Return where the study is kept: the database at an address, None: a journal in the sweep's directory."""
        if address is None:
            return JournalStorage(JournalFileBackend(str(mended(self.sweep.directory / STUDY_FILE))))
        try:
            return RDBStorage(address)
        except Exception as error:  # of sqlalchemy, or the driver of that database
            shown = re.sub(r":[^:@/]*@", ":…@", str(address))  # a password
            as_in = "As in postgresql://USER@HOST/NAME or sqlite:///FILE"
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise UsageError(f"hydra.sweeper.storage={shown}: can't be opened: {reason}. {as_in}") from error

    def _check(self) -> None:
        """Raise UsageError where the study on disk is of another search: its trials could not be compared."""
        before = self.study.user_attrs
        if (fixed := before.get("fixed", self.fixed)) != self.fixed:
            raise self._is_another(f"with {' '.join(fixed)}")
        if (metric := before.get("metric", "accuracy" if self.study.trials else self.metric)) != self.metric:
            raise self._is_another(f"by {metric}")
        self.study.set_user_attr("metric", self.metric)
        self.study.set_user_attr("fixed", self.fixed)
        for trial in self.study.trials:
            if trial.state in OPEN and set(trial.params) < set(self.space):
                self.study.tell(trial.number, state=TrialState.FAIL)  # this process was killed while it asked
            elif trial.state != TrialState.FAIL:
                self._check_space(trial.distributions)

    def _is_another(self, what: str) -> UsageError:
        return UsageError(f"{self.sweep.directory} holds a search {what}. For a new one: hydra.sweep.dir=DIR")

    def _check_space(self, before: Mapping[str, BaseDistribution]) -> None:
        try:
            if set(before) != set(self.space):
                raise ValueError("it searches " + ", ".join(before))
            for key, distribution in self.space.items():
                check_distribution_compatibility(before[key], distribution)
        except ValueError as error:
            raise self._is_another(f"of another space: {error}") from error

    @property
    def asked_for(self) -> int:
        """How many trials there are, without those whose process was killed while it asked for them."""
        return sum(trial.state != TrialState.FAIL for trial in self.study.trials)

    @property
    def left(self) -> int:
        """How many trials are still to be run."""
        return len(self.open_trials) + max(0, self.trials - self.asked_for)

    def jobs(self) -> Iterator[tuple[Path, list[str]]]:
        """Ask for trials, one whenever a job can be started; those that earlier calls left open first."""
        while True:
            with self.sweep.shared_lock:
                job = self._left_open() or self._new()
            if job is None:
                return
            yield job.directory, job.arguments(self.sweep.is_trusted)

    def _left_open(self) -> Job | None:
        """Return the job of an open trial that this process has not had and on which no process works."""
        had = {trial.number for trial, _ in self.asked.values()}
        for frozen in self.study.get_trials(states=OPEN):
            if frozen.number in had or not self._claim(frozen.number):
                continue
            # Optuna has no public way to take up a trial again; this is how its own ask() makes one.
            job = self.job_of(Trial(self.study, frozen._trial_id))
            results = peek(job.directory)
            if is_in_use(job.directory):  # its job has outlived the process that started it
                self.asked.pop(job.directory)
                self._give_back(frozen.number)
            elif results and results["status"] in ("finished", "diverged"):  # the study was not told, that is all
                self.ended(job.directory, results)
            else:
                return job
        return None

    def _new(self) -> Job | None:
        if self.asked_for >= self.trials:
            return None
        # Seeded by the number of trials, so that no two processes draw the same.
        drawn = int(np.random.SeedSequence((self.seed, len(self.study.trials))).generate_state(1)[0])
        self.study.sampler = TPESampler(n_startup_trials=self.startup_trials, seed=drawn, constant_liar=True)
        trial = self.study.ask(self.space)
        self._claim(trial.number)
        return self.job_of(trial)

    def _claim(self, number: int) -> bool:
        """Take a trial for this process, and return whether it was free."""
        claim = FileLock(self.sweep.directory / claim_file(number), blocking=False)
        try:
            claim.acquire()
        except Timeout:
            return False
        self.claims[number] = claim
        return True

    def _give_back(self, number: int) -> None:
        with self.sweep.shared_lock:
            Path(self.claims[number].lock_file).unlink()
            self.claims.pop(number).release()

    def job_of(self, trial: Trial) -> Job:
        """Return the job of the trial's number, a new one where there is none."""
        overrides = [*(f"{key}={value}" for key, value in trial.params.items()), *self.fixed]
        names = {key: f"{value:.4g}" if isinstance(value, float) else str(value) for key, value in trial.params.items()}
        self.sweep.take_in()
        there = [job for job in self.sweep.jobs if job.directory.name.partition("_")[0] == str(trial.number)]
        job = there[0] if there else self.sweep.add(overrides, names, trial.number)
        if job.overrides != overrides:
            raise UsageError(f"{job.directory} is not trial {trial.number} of {STUDY_FILE}: they don't belong together")
        job.pruned = False
        self.sweep.own.add(job.directory)
        self.sweep.save()
        self.asked[job.directory] = (trial, job)
        return job

    def report(self, trial: Trial, results: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """Report the epochs that are new and were evaluated to the study, and return them."""
        known = self.study.trials[trial.number].intermediate_values
        fresh = [epoch for epoch in results.get("epochs", ()) if epoch["epoch"] not in known]
        fresh = [epoch for epoch in fresh if epoch["val_accuracy"] is not None]
        for epoch in fresh:
            trial.report(self.measure(epoch, "val_"), step=epoch["epoch"])
        return fresh

    def gives_up(self, directory: Path, results: Mapping[str, Any]) -> bool:
        """Report what is new to the study, and return whether the trial is hopeless: worse than the median."""
        trial, job = self.asked[directory]
        fresh = self.report(trial, results)
        if not fresh or fresh[-1]["epoch"] >= self.epochs or not trial.should_prune():
            return False
        job.pruned = True
        self.sweep.save()
        return True

    def measure(self, measured: Mapping[str, Any], prefix: str = "") -> float:
        if (value := measured.get(f"{prefix}{self.metric}")) is None:
            raise UsageError(f"hydra.sweeper.metric={self.metric}: a job has not measured it on its held-out images")
        return float(value)

    def ended(self, directory: Path, results: Mapping[str, Any]) -> str:
        """Tell the study how the trial ended. One that failed or was stopped stays open, to be run again."""
        trial, job = self.asked[directory]
        if results["status"] == "finished":
            job.pruned = False  # it was faster than the signal
            self.report(trial, results)
            self.study.tell(trial, self.measure(results["val"] or {}))
        elif job.pruned or results["status"] == "diverged":  # both say: not there
            self.study.tell(trial, state=TrialState.PRUNED)
        self.sweep.save()
        self._give_back(trial.number)
        return "pruned" if job.pruned else str(results["status"])

    @property
    def open_trials(self) -> list[int]:
        """The numbers of the trials without an answer on which no other process works."""
        found = []
        with self.sweep.shared_lock:
            for trial in self.study.get_trials(states=OPEN):
                if trial.number in self.claims:
                    found.append(trial.number)
                elif self._claim(trial.number):
                    self._give_back(trial.number)
                    found.append(trial.number)
        return found


def mended(journal: Path) -> Path:
    """Cut off a last line that was not written to its end, by a process that was killed or for want of room.

    Raises:
        UsageError: another line can't be read.
    """
    if journal.exists():
        lock = JournalFileSymlinkLock(str(journal))
        lock.acquire()
        try:
            with journal.open("r+b") as file:
                lines = file.read().splitlines(keepends=True)
                if lines and not lines[-1].endswith(b"\n"):
                    file.truncate(sum(map(len, lines[:-1])))
        finally:
            lock.release()
        for number, line in enumerate(lines, start=1):
            try:
                json.loads(line if line.endswith(b"\n") else b"{}")
            except ValueError as error:
                go_on = "Remove that line, or begin a new search: hydra.sweep.dir=DIR"
                raise UsageError(f"{journal}, line {number}, is damaged: {error}. {go_on}") from error
    return journal
