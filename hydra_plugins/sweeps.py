"""Hydra's side of a sweep: which jobs (the sweepers), and how they are run (the launcher).

Hydra looks for such classes in packages named hydra_plugins and nowhere else. It imports this file at every start, so
what is heavy is imported where it is used.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from mnist_lightning import configuration
from mnist_lightning.errors import UsageError
from mnist_lightning.sweep import Job, Sweep, is_sweep


class ProcessLauncher(Launcher):
    """Runs each job as `python train.py <its overrides>`, in a process of its own.

    Args:
        jobs: how many run side by side, at least 1.
    """

    def __init__(self, jobs: int = 1) -> None:
        self.jobs = jobs

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        if not isinstance(self.jobs, int) or isinstance(self.jobs, bool) or self.jobs < 1:
            raise UsageError(f"hydra.launcher.jobs={self.jobs}: must be a whole number of at least 1")
        self.parser = OverridesParser.create(config_loader=hydra_context.config_loader)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from mnist_lightning.jobs import run_side_by_side

        jobs = [(self.directory(list(overrides)), list(overrides)) for overrides in job_overrides]
        run_side_by_side(jobs, self.jobs, total=len(jobs))
        return [JobReturn(overrides=overrides, status=JobStatus.COMPLETED) for overrides in job_overrides]

    def directory(self, overrides: list[str]) -> Path:
        """Return the run directory that overrides name by output_dir= or resume=."""
        values = {override.key_or_group: override.value() for override in self.parser.parse_overrides(overrides)}
        return Path(str(values.get("output_dir") or values["resume"]))


class GridSweeper(Sweeper):
    """Runs every combination of the swept values: each once, whatever happened to the sweep in between.

    Args:
        params: settings of all jobs, {key: value or values as on the command line}, which overrules them.
    """

    def __init__(self, params: Mapping[str, Any] | None = None) -> None:
        self.params = dict(params or {})

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context = hydra_context
        self.task_function = task_function
        self.config = config

    def sweep(self, arguments: list[str]) -> Any:
        overrides, place = self.read(arguments)
        [jobs] = BasicSweeper.split_arguments(overrides, None)
        for job in jobs:
            self.compose(job)
        with self.open(place) as sweep:
            wanted = sweep.plan(jobs)
            todo = [job.arguments() for job in wanted if not job.is_done]
            if todo:
                self.launcher().launch(todo, initial_job_idx=0)
            self.close(sweep, wanted)

    def read(self, arguments: Sequence[str]) -> tuple[list[Override], str | None]:
        """Return the overrides of the jobs, and the directory of the sweep where one was named.

        Raises:
            UsageError: a setting is given that only the sweep itself can give its jobs.
        """
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        by_key = {}
        written = [f"{key}={configuration.as_override(value)}" for key, value in self.params.items()]
        for override in [*parser.parse_overrides(written), *parser.parse_overrides(list(arguments))]:
            by_key[override.get_key_element().lstrip("+")] = override
        by_key.pop("sweep", None)
        named = self.config.hydra.sweep.dir
        place = None if named == "." else str(named)
        if resume := by_key.pop("resume", None):
            place = str(resume.value())
            if resume.is_sweep_override() or not is_sweep(place):
                raise UsageError(f"{resume.input_line}: not a sweep. A run goes on by itself: python train.py resume=RUN")
        if "output_dir" in by_key:
            raise UsageError("output_dir: the jobs of a sweep stand in its own directory: hydra.sweep.dir=DIR")
        return list(by_key.values()), place

    def compose(self, job: Sequence[str]) -> DictConfig:
        """Return the checked configuration of a job, so that a mistake stops the sweep before it begins."""
        config = self.hydra_context.config_loader.load_sweep_config(self.config, list(job))
        with open_dict(config):
            del config["hydra"]
        return configuration.checked(config)

    def open(self, place: str | None) -> Sweep:
        """Make or find the directory of the sweep."""
        sweep = Sweep.create(place, self.config.name)
        with open_dict(self.config):
            self.config.hydra.sweep.dir = str(sweep.directory)
        return sweep

    def launcher(self) -> Launcher:
        return Plugins.instance().instantiate_launcher(
            hydra_context=self.hydra_context, task_function=self.task_function, config=self.config
        )

    def close(self, sweep: Sweep, jobs: Sequence[Job]) -> None:
        """Show and write the table of the sweep.

        Raises:
            RunError: jobs are left that did not finish.
        """
        from mnist_lightning import compare

        compare.show([sweep.directory], into=sweep.directory)
        sweep.check_done(jobs)
