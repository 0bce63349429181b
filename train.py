"""Train the classic first CNN on MNIST: the whole experiment, top to bottom.

python train.py trainer.max_epochs=10        one run
python train.py --help                       what can be set
"""

import os
import sys

import hydra
from omegaconf import DictConfig

from mnist_lightning import configuration
from mnist_lightning.command import answered
from mnist_lightning.run import Run, log


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(config: DictConfig) -> None:
    """Check the configuration and open the run directory; only then import torch and Lightning, and train."""
    with answered(ends_process=not configuration.is_in_process_job()), configuration.explained():
        if config.get("resume") is not None:
            run = Run.open(str(config.resume))
            config = configuration.checked(configuration.resumed(run, configuration.command_line_overrides()))
        else:
            configuration.checked(config)
            run = Run.create(config.output_dir, config.name, config.seed)
        if run.is_finished and len(run.results["epochs"]) >= config.trainer.max_epochs:
            print(f"{run.directory} has its {config.trainer.max_epochs} epochs; for more, add trainer.max_epochs=N")
            return
        with run:
            config.output_dir = str(run.directory)
            if run.is_new:
                configuration.save(config, run)
            train(config, run)


def train(config: DictConfig, run: Run) -> None:
    """Run the experiment that `config` describes: from the beginning, or on from the last checkpoint of `run`."""
    import torch
    from lightning.pytorch import seed_everything

    from mnist_lightning import console, lean
    from mnist_lightning.module import Classifier
    from mnist_lightning.recorder import Recorder

    console.set_up()
    seed_everything(config.seed, verbose=False)
    torch.backends.cudnn.deterministic = True  # a run is a function of its configuration, on a GPU too

    network = configuration.build(config.model)
    data = configuration.build(config.data)
    data.prepare_data()  # missing or damaged files stop the run here
    module = Classifier(network, configuration.build(config.optimizer), configuration.build(config.scheduler))
    trainer = configuration.build_trainer(config, Recorder(run))
    configuration.save(config, run)  # what a resumed run changes counts once it has been accepted
    if trainer.logger:
        trainer.logger.log_hyperparams(configuration.resolved(config))

    with lean.settled_heap():
        trainer.fit(module, datamodule=data, ckpt_path=run.checkpoint, weights_only=True)
        trainer.test(module, datamodule=data, verbose=False)
    log.info(console.closing(run))


if __name__ == "__main__":
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises what is wrong with a configuration instead of printing it
    with answered(), configuration.explained():
        sys.argv[1:] = configuration.command_line(sys.argv[1:])
        main()
