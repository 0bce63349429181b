"""Train the classic first CNN on MNIST: the whole experiment, top to bottom.

python train.py trainer.max_epochs=10        one run
python train.py --help                       what can be set
"""

import signal

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends the imports without a traceback

import os
import sys
from functools import partial

import hydra
from omegaconf import DictConfig

from mnist_lightning.config import build, check, compose, length
from mnist_lightning.config.explain import explained
from mnist_lightning.config.typed import as_meant
from mnist_lightning.runs.place import check_free
from mnist_lightning.runs.processes import check_directory_is_shared
from mnist_lightning.runs.run import Run, log
from mnist_lightning.terminal.command import answered, show


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(config: DictConfig) -> None:
    """Check the configuration, open the run directory, and train."""
    with answered(ends_process=not compose.is_in_process_job()), explained():
        if run := compose.run_to_resume(config):
            config = compose.the_same(config, run) if config.resume == compose.AUTO else compose.resumed(run)
            length.check_kept(config, run)
            if run.was_finished and not run.named and (why := length.nothing_left(config, run)):
                show(why)
                return
            run.results |= {"name": config.name, "seed": config.seed}  # as they were sealed
            build.everything(config, begins=run.checkpoint is None)
        else:
            check_directory_is_shared(config.output_dir)
            check_free(config.output_dir)
            build.everything(config)
            run = Run.create(config.output_dir, config.name, config.seed, compose.chosen("experiment"))
            run.results["laid_out"] = length.laid_out(config)
        with run:
            config.output_dir = str(run.directory)
            if run.is_new:
                compose.save(config, run)
                run.save()
            train(config, run)


def train(config: DictConfig, run: Run) -> None:
    """Run the experiment that `config` describes: from the beginning, or on from the last checkpoint of `run`."""
    import torch
    from lightning.pytorch import seed_everything

    from mnist_lightning.terminal.console import closing
    from mnist_lightning.training import lean, transfer
    from mnist_lightning.training.recorder import Recorder
    from mnist_lightning.training.resume import Resume

    seed_everything(config.seed, verbose=False)
    torch.backends.cudnn.deterministic = True  # a run is a function of its configuration, on a GPU too

    data = build.data(config.data)
    network = build.network(config.model, data.source, config.freeze)
    module = build.module(config, network, data.source)
    data.prepare_data()  # missing or damaged files stop the run here
    if config.init_from and run.checkpoint is None:
        before = run.results.get("init_from")
        run.results["init_from"], remark = transfer.begin_from(config.init_from, network, before)
        run.remarks.append(remark)
        run.save()
    recorder = Recorder(run, when_accepted=partial(compose.save, config, run))
    trainer = build.trainer(config, Resume(run), recorder)
    for logger in trainer.loggers:
        logger.log_hyperparams(check.plain(config) | {"experiment": run.results.get("experiment")})

    with lean.settled_heap(), build.refusals_of_lightning(run):
        with recorder.late_failures_as_warnings():
            trainer.fit(module, datamodule=data, ckpt_path=run.checkpoint, weights_only=True)
        trainer.loggers = []  # they have the numbers of the last epoch
        trainer.test(module, datamodule=data, verbose=False)
    log.info(closing(run))


if __name__ == "__main__":
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises what is wrong with a configuration instead of printing it
    with answered():
        sys.argv[1:] = as_meant(sys.argv[1:])
        with explained():
            main()
