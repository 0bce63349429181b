"""Hydra's side of a sweep: which jobs (the sweepers), and how they are run (the launcher).

Hydra looks for such classes in packages named hydra_plugins and nowhere else. It imports this file at every start, so
what is heavy is imported where it is used.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, RunMode, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from mnist_lightning.config import build, compose
from mnist_lightning.config.check import check_value, flat
from mnist_lightning.config.explain import config_options, explained
from mnist_lightning.config.monitors import check_ranked_by
from mnist_lightning.runs.errors import UsageError
from mnist_lightning.sweeps.sweep import Sweep, is_search, is_sweep
from mnist_lightning.terminal.command import check_extra


class ProcessLauncher(Launcher):
    """Runs each job as `python train.py <its overrides>`, in a process of its own, `jobs` of them side by side."""

    def __init__(self, jobs: int = 1) -> None:
        self.jobs = jobs

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        from mnist_lightning.sweeps import warm

        check_value("hydra.launcher.jobs", self.jobs, Annotated[int, Ge(1)])
        if not str(config.hydra.sweeper._target_).startswith(__name__):
            raise UsageError("hydra/sweeper: another sweeper needs another launcher too: hydra/launcher=basic")
        warm.begin()
        self.parser = OverridesParser.create(config_loader=hydra_context.config_loader)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from mnist_lightning.sweeps.jobs import run_side_by_side

        jobs = [(self.directory(list(overrides)), list(overrides)) for overrides in job_overrides]
        run_side_by_side(jobs, self.jobs, total=len(jobs), flags=config_options(sys.argv[1:]))
        return [JobReturn(overrides=overrides, status=JobStatus.COMPLETED) for overrides in job_overrides]

    def directory(self, overrides: list[str]) -> Path:
        """Return the run directory that overrides name by output_dir= or resume=."""
        values = {override.key_or_group: override.value() for override in self.parser.parse_overrides(overrides)}
        return Path(str(values.get("output_dir") or values["resume"]))


class GridSweeper(Sweeper):
    """Runs every combination of the swept values: each once, whatever happened to the sweep in between.

    Args:
        params: settings of all jobs, {key: value or values as typed}; the command line takes precedence.
        metric: what ranks the runs in the table, by its name in results.json: "accuracy", "loss", …
    """

    IS_SEARCH = False

    def __init__(self, params: Mapping[str, Any] | None = None, metric: str = "accuracy") -> None:
        self.params, self.metric = dict(params or {}), metric
        for group in [key for key, value in self.params.items() if key.isidentifier() and isinstance(value, Mapping)]:
            settings = flat(OmegaConf.create(self.params.pop(group)), resolve=False)
            self.params |= {f"{group}.{name}": value for name, value in settings.items()}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context = hydra_context
        self.task_function = task_function
        self.config = config

    def sweep(self, arguments: list[str]) -> Any:
        from mnist_lightning.terminal import console

        overrides, place = self.read(arguments)
        launcher = self.launcher()  # says what is wrong with it before anything is made
        [combinations] = BasicSweeper.split_arguments(overrides, None)
        jobs = [[*combination, *self.for_jobs()] for combination in combinations]
        if not jobs:
            swept = (one for one in overrides if one.is_sweep_override() and not [*one.sweep_string_iterator()])
            raise UsageError(f"{next(swept).input_line}: has no values, so there are no jobs")
        names = {self.compose(job).name for job in jobs}
        with self.open(place, names.pop() if len(names) == 1 else self.config.name) as sweep:
            wanted = sweep.plan(jobs)
            if self.is_resumed:
                wanted += [job for job in sweep.jobs if job not in wanted]  # which further commands have added
            todo = [job.arguments(sweep.is_trusted) for job in wanted if not job.is_done]
            done = f", {len(wanted) - len(todo)} of them done already" if len(todo) < len(wanted) else ""
            console.say(f"{sweep.directory}: {len(wanted)} job{'s' * (len(wanted) > 1)}{done}")
            if todo:
                launcher.launch(todo, initial_job_idx=0)
            self.show(sweep)
            sweep.check_answered(sum(not job.is_done for job in wanted), len(wanted))

    def read(self, arguments: Sequence[str]) -> tuple[list[Override], str | None]:
        """Return the overrides of the jobs, and the directory of the sweep where one was named."""
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        written = [f"{key}={compose.as_override(value)}" for key, value in self.params.items() if self.has(key)]
        parsed = parser.parse_overrides([*written, *arguments])
        by_key = {override.get_key_element().lstrip("+"): override for override in parsed}
        if chosen := by_key.pop("sweep", None):
            if chosen.is_sweep_override():
                raise UsageError(f"{chosen.input_line}: one sweep at a time")
            self.check_file(str(chosen.value()))
        named = self.config.hydra.sweep.dir
        place = None if named == "." else str(named)
        self.is_resumed = "resume" in by_key
        self.is_trusted = bool(trust.value()) if (trust := by_key.pop("trust", None)) else False
        if resume := by_key.pop("resume", None):
            place = str(resume.value())
            if resume.is_sweep_override() or not is_sweep(place):
                go_on = "A run goes on by itself: python train.py resume=RUN"
                raise UsageError(f"{resume.input_line}: not a sweep. {go_on}")
        if "output_dir" in by_key:
            raise UsageError("output_dir: the jobs of a sweep go into its own directory: hydra.sweep.dir=DIR")
        if place and is_sweep(place) and is_search(place) != self.IS_SEARCH:
            which = "no" if self.IS_SEARCH else "a"
            raise UsageError(f"{place} holds {which} search: name another hydra.sweep.dir=DIR")
        return list(by_key.values()), place

    def has(self, key: str) -> bool:
        """Return whether the experiment has a setting; False where only another option of its group does.

        A search over optimizer.momentum leaves that out for Adam.
        """
        group, _, name = key.partition(".")
        chosen = self.config.get(group)
        if not name or not isinstance(chosen, DictConfig) or name in flat(chosen, resolve=False):
            return True
        return key not in flat(self.load([]), resolve=False)

    def compose(self, job: Sequence[str]) -> DictConfig:
        """Return the checked configuration of a job, so that a mistake stops the sweep before it begins."""
        config = self.load(job)
        check_ranked_by(self.metric, config)
        with explained([]):
            build.everything(config)
        return config

    def check_file(self, name: str) -> None:
        """Raise UsageError where the file of a sweep holds settings beside its params: they would reach no job."""
        with_file, without = (flat(self.load(words), resolve=False) for words in ([f"sweep={name}"], []))
        for key, value in with_file.items():
            if key not in without or without[key] != value:
                instead = "Settings of the jobs belong in hydra.sweeper.params"
                raise UsageError(f"sweep={name}: its {key} would reach no job. {instead}")

    def load(self, overrides: Sequence[str]) -> DictConfig:
        """Return the configuration that train.py has with these overrides."""
        name = self.config.hydra.job.config_name
        config = self.hydra_context.config_loader.load_configuration(name, list(overrides), run_mode=RunMode.MULTIRUN)
        with open_dict(config):
            del config["hydra"]
        return config

    def for_jobs(self) -> list[str]:
        """Return Hydra's own overrides that are meant for the jobs too, as hydra.searchpath=[…]."""
        of_sweep = ("hydra.launcher", "hydra/launcher", "hydra.sweep", "hydra/sweeper", "hydra.mode")
        words = self.config.hydra.overrides.hydra
        return [override for override in words if not override.lstrip("+~").startswith(of_sweep)]

    def open(self, place: str | None, name: str) -> Sweep:
        """Make or find the directory of the sweep."""
        sweep = Sweep.create(place, name, self.is_trusted, is_shared=self.IS_SEARCH)
        with open_dict(self.config):
            self.config.hydra.sweep.dir = str(sweep.directory)
        return sweep

    def launcher(self) -> Launcher:
        return Plugins.instance().instantiate_launcher(
            hydra_context=self.hydra_context, task_function=self.task_function, config=self.config
        )

    def show(self, sweep: Sweep) -> None:
        from mnist_lightning import compare

        if self.config.trainer.get("fast_dev_run"):
            return  # trials stand in no table
        compare.show([sweep.directory], sweep.directory, self.metric)


class SearchSweeper(GridSweeper):
    """Searches for good settings with Optuna, by the accuracy, or another metric, of held-out images.

    Args:
        params: settings of all trials, and what is searched: {key: interval(a, b), tag(log, interval(a, b)) or a,b,c}.
        trials: how many in all; a further call continues the study up to that number.
        startup_trials: how many are drawn at random first; none is given up before as many are complete.
        seed: of the draws.
        storage: the address of a database that holds the study, as Optuna takes it; None: a journal in the sweep's
            directory.
    """

    IS_SEARCH = True

    def __init__(
        self, params: Mapping[str, Any], trials: int, startup_trials: int, seed: int, metric: str = "accuracy",
        storage: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(params, metric)
        self.storage = storage
        self.settings = {"trials": trials, "startup_trials": startup_trials, "seed": seed}

    def sweep(self, arguments: list[str]) -> Any:
        for name, value in self.settings.items():
            check_value(f"hydra.sweeper.{name}", value, Annotated[int, Ge(int(name == "trials"))])
        check_extra("search")
        from mnist_lightning.sweeps.jobs import run_side_by_side
        from mnist_lightning.sweeps.search import Search
        from mnist_lightning.terminal import console

        overrides, place = self.read(arguments)
        searched = [override for override in overrides if override.is_sweep_override()]
        space = {override.get_key_element(): distribution(override) for override in searched}
        fixed = [f"{o.get_key_element()}={o.get_value_element_as_str()}" for o in overrides if o not in searched]
        fixed = sorted([*fixed, *self.for_jobs()])
        launcher = self.launcher()
        if not isinstance(launcher, ProcessLauncher):
            raise UsageError("hydra/launcher: a search watches its jobs, which only hydra/launcher=process can do")
        config = self.compose_ends(space, fixed)
        with self.open(place, config.name) as sweep:
            epochs = config.trainer.max_epochs or -1
            search = Search(sweep, space, fixed, epochs, metric=self.metric, storage=self.storage, **self.settings)
            console.say(f"{sweep.directory}: {search.left} of {self.settings['trials']} trials to do")
            flags = config_options(sys.argv[1:])
            run_side_by_side(search.jobs(), launcher.jobs, total=search.left, flags=flags, watcher=search)
            self.show(sweep)
            sweep.check_answered(len(search.open_trials), len(sweep.jobs))

    def compose_ends(self, space: Mapping[str, Any], fixed: list[str]) -> DictConfig:
        """Check the ends of every interval and every listed value, and return one of the configurations."""
        values = {key: getattr(one, "choices", None) or (one.low, one.high) for key, one in space.items()}
        first = {key: some[0] for key, some in values.items()}
        corners = [first, *({**first, key: value} for key, some in values.items() for value in some[1:])]
        for corner in corners:
            config = self.compose([*(f"{key}={value}" for key, value in corner.items()), *fixed])
            if not config.data.val_size:
                raise UsageError("data.val_size=0: a search compares by held-out images: data.val_size=5000")
        return config


def distribution(override: Override) -> Any:
    """Return what Optuna draws from: interval(a, b), tag(log, interval(a, b)), or a list, whose values stay texts."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    value: Any = override.value()
    log = "log" in getattr(value, "tags", ())
    try:
        if isinstance(value, IntervalSweep):
            if isinstance(value.start, int) and isinstance(value.end, int):
                return IntDistribution(value.start, value.end, log=log)
            return FloatDistribution(float(value.start), float(value.end), log=log)
        return CategoricalDistribution(list(override.sweep_string_iterator()))
    except ValueError as error:
        raise UsageError(f"{override.input_line}: {error}") from error
