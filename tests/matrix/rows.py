"""The rows of the matrix. A new argument or class of the libraries that has none fails a test.

Each line: what it is, the words (and the settings of a file) that are tried, and what is expected:

    works            trains, its files agree, and killed in the middle and resumed it ends with the same bits
    trains           the same, but what it does depends on the clock or on a search, so that no two runs are the same
    does: TEXT       ends with status 0, and says this
    refused: TEXT    before data is read, with status 2 and no directory left, in one message with this text
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

TWO = "trainer.accelerator=cpu trainer.devices=2"
TRAINER = f"""
accelerator | trainer.accelerator=cpu | works
accelerator | trainer.accelerator=tpu | refused: Requirement 'torch_xla
accelerator | trainer.accelerator=gpu | refused: No supported gpu backend found
accelerator | trainer.accelerator=warp | refused: Available names are
strategy | {TWO} trainer.strategy=ddp | works
strategy | {TWO} trainer.strategy=ddp_spawn | refused: must be ddp
strategy | {TWO} trainer.strategy=ddp_fork | refused: must be ddp
strategy | {TWO} trainer.strategy=ddp_notebook | refused: must be ddp
strategy | {TWO} trainer.strategy=fsdp | refused: requires a GPU
strategy | {TWO} trainer.strategy=deepspeed | refused: pip install -U deepspeed
strategy | {TWO} trainer.strategy=warp | refused: invalid strategy name
devices | trainer.devices=auto trainer.accelerator=cpu | works
devices | trainer.devices=0 | refused: not a valid input
num_nodes | trainer.num_nodes=0 | refused: must be a positive integer
precision | trainer.precision=32-true | works
precision | trainer.precision=bf16-mixed | works
precision | trainer.precision=16-true | works
precision | trainer.precision=bf16-true | works
precision | trainer.precision=64-true | works
precision | trainer.precision=transformer-engine | refused: pip install -U 'transformer_engine
precision | trainer.precision=half | refused: must be 64, 32 or 16
fast_dev_run | trainer.fast_dev_run=true | trains
max_epochs | trainer.max_epochs=2 | works
max_epochs | trainer.max_epochs=-1 trainer.max_steps=60 | works
max_epochs | trainer.max_epochs=null trainer.max_steps=60 | works
max_epochs | trainer.max_epochs=-1 | refused: such a run never ends
min_epochs | trainer.min_epochs=2 | works
max_steps | trainer.max_steps=40 | works
min_steps | trainer.min_steps=40 | works
max_time | trainer.max_time=00:01:00:00 | works
max_time | trainer.max_time={{seconds:1}} trainer.max_epochs=-1 | trains
max_time | trainer.max_time=soon | refused: must be a time
limit_train_batches | trainer.limit_train_batches=0.5 | works
limit_train_batches | trainer.limit_train_batches=0.001 | refused: Please increase the `limit_train_batches`
limit_val_batches | trainer.limit_val_batches=1 data.test_batch_size=50 | works
limit_val_batches | trainer.limit_val_batches=0.5 | refused: Please increase the `limit_val_batches`
limit_test_batches | trainer.limit_test_batches=1 data.test_batch_size=50 | works
limit_test_batches | trainer.limit_test_batches=0.5 | refused: leaves no batch
limit_predict_batches | trainer.limit_predict_batches=1 | works
overfit_batches | trainer.overfit_batches=2 | works
overfit_batches | trainer.overfit_batches=-1 | refused: invalid value -1
val_check_interval | trainer.val_check_interval=0.25 | works
val_check_interval | trainer.val_check_interval=40 trainer.check_val_every_n_epoch=null | works
val_check_interval | trainer.val_check_interval=100 | refused: must be less than or equal to the number of
check_val_every_n_epoch | trainer.check_val_every_n_epoch=2 | works
num_sanity_val_steps | trainer.num_sanity_val_steps=2 | works
log_every_n_steps | trainer.log_every_n_steps=1 | works
log_every_n_steps | trainer.log_every_n_steps=0 | refused: must be at least 1
enable_checkpointing | trainer.enable_checkpointing=false | trains
enable_progress_bar | trainer.enable_progress_bar=false | works
enable_model_summary | trainer.enable_model_summary=false | works
accumulate_grad_batches | trainer.accumulate_grad_batches=4 | works
accumulate_grad_batches | trainer.accumulate_grad_batches=0 | refused: must be at least 1
gradient_clip_val | trainer.gradient_clip_val=0.5 | works
gradient_clip_algorithm | trainer.gradient_clip_val=0.01 trainer.gradient_clip_algorithm=value | works
gradient_clip_algorithm | trainer.gradient_clip_val=1 trainer.gradient_clip_algorithm=x | refused: Allowed algorithms
deterministic | trainer.deterministic=true | works
deterministic | trainer.deterministic=warn | works
benchmark | trainer.benchmark=true | works
inference_mode | trainer.inference_mode=false | works
use_distributed_sampler | trainer.use_distributed_sampler=true | refused: must be false
profiler | trainer.profiler=simple | works
profiler | trainer.profiler=advanced | works
profiler | trainer.profiler=xla | refused: torch_xla
profiler | trainer.profiler=fast | refused: it can only be one of
detect_anomaly | trainer.detect_anomaly=true | works
barebones | trainer.barebones=true | refused: disabled in barebones mode
plugins | '+trainer.plugins=[]' | refused: train.py sets this itself
sync_batchnorm | trainer.sync_batchnorm=true | works
reload_dataloaders_every_n_epochs | trainer.reload_dataloaders_every_n_epochs=1 | works
default_root_dir | trainer.default_root_dir=elsewhere | works
enable_autolog_hparams | trainer.enable_autolog_hparams=true | works
model_registry | trainer.model_registry=none | works
logger | +trainer.logger=false | refused: train.py sets this itself
callbacks | '+trainer.callbacks=[]' | refused: train.py sets this itself
"""
CALLBACKS = """
BackboneFinetuning | | refused: no attribute 'backbone'
BaseFinetuning | | refused: NotImplementedError
BasePredictionWriter | | works
BatchSizeFinder | max_trials: 2 | trains
Callback | | works
Checkpoint | | works
DeviceStatsMonitor | | refused: pip install -U 'psutil'
EarlyStopping | monitor: val/loss, patience: 1, min_delta: 0.3 | works
EarlyStopping | monitor: train/loss_epoch, stopping_threshold: 1.5, check_on_train_epoch_end: true | works
EarlyStopping | monitor: test/loss | refused: the test set chooses nothing
EarlyStopping | monitor: val_loss | refused: Did you mean val/loss?
EarlyStopping | monitor: val/loss, mode: maximum | refused: `mode` can be min, max
GradientAccumulationScheduler | scheduling: {1: 2} | works
LambdaCallback | | works
LearningRateFinder | num_training_steps: 20 | trains
LearningRateMonitor | | works
LearningRateMonitor | logging_interval: step | works
LearningRateMonitor | logging_interval: hour | refused: must be 'step' or 'epoch'
ModelCheckpoint | monitor: val/loss, save_top_k: 2 | works
ModelCheckpoint | every_n_train_steps: 10, save_top_k: -1, enable_version_counter: false | works
ModelCheckpoint | train_time_interval: {minutes: 1} | works
ModelCheckpoint | train_time_interval: soon | refused: must be a time
ModelCheckpoint | save_top_k: 3 | refused: No quantity for top_k to track
ModelCheckpoint | monitor: test/accuracy | refused: the test set chooses nothing
ModelPruning | pruning_fn: l1_unstructured, amount: 0.3 | trains
ModelPruning | pruning_fn: l3 | refused: isn't available
ModelSummary | | works
OnExceptionCheckpoint | dirpath: "${output_dir}/checkpoints" | works
ProgressBar | | works
RichModelSummary | | works
RichProgressBar | | works
SpikeDetection | | trains
StochasticWeightAveraging | swa_lrs: 0.05, swa_epoch_start: 1 | works
StochasticWeightAveraging | swa_lrs: 0.05, swa_epoch_start: -1 | refused: swa_epoch_start should be
ThroughputMonitor | | refused: batch_size_fn: is missing
Timer | duration: "00:01:00:00" | works
Timer | duration: {seconds: 1} | trains
Timer | duration: 2s | refused: not a valid duration
TQDMProgressBar | | works
EMAWeightAveraging | decay: 0.9 | works
WeightAveraging | | works
"""
LOGGERS = """
CSVLogger | save_dir: "${output_dir}" | works
TensorBoardLogger | save_dir: "${output_dir}" | works
CometLogger | | refused: pip install -U 'comet-ml
LitLogger | | refused: must be a class of
Logger | | refused: abstract
MLFlowLogger | | refused: mlflow
WandbLogger | save_dir: "${output_dir}", offline: true | works
"""
OPTIMIZERS = """
ASGD | lr: 0.01 | works
Adadelta | | works
Adafactor | | works
Adagrad | | works
Adam | | works
AdamW | | works
Adamax | | works
LBFGS | lr: 0.1, max_iter: 2 | works
Muon | | refused: only supports 2D parameters
NAdam | | works
Optimizer | | refused: defaults: is missing
RAdam | | works
RMSprop | lr: 0.001 | works
Rprop | lr: 0.001 | works
SGD | lr: 0.01, weight_decay: 0.001 | works
SGD | lr: fast | refused: must be a number
SGD | lr: -1 | refused: Invalid learning rate
AdamW | lr: -1 | refused: Invalid learning rate
AdamW | betas: [0.9] | refused: must be a longer list
SparseAdam | | refused: does not support dense gradients
"""
SCHEDULERS = """
ChainedScheduler | | refused: schedulers: is missing
ConstantLR | | works
CosineAnnealingLR | T_max: 3 | works
CosineAnnealingLR | T_max: 75, interval: step | works
CosineAnnealingWarmRestarts | T_0: 2 | works
CyclicLR | base_lr: 0.001, max_lr: 0.01, step_size_up: 20 | works
ExponentialLR | gamma: 0.9 | works
LRScheduler | | refused: LRScheduler can't be made
LambdaLR | | refused: lr_lambda: is missing
LinearLR | | works
LinearLR | interval: batch | refused: must be 'epoch' or 'step'
MultiStepLR | milestones: [1] | works
MultiplicativeLR | | refused: lr_lambda: is missing
OneCycleLR | max_lr: 0.05 | works
PolynomialLR | total_iters: 3 | works
ReduceLROnPlateau | monitor: val/loss, patience: 0 | works
ReduceLROnPlateau | | refused: monitor: is missing
SequentialLR | | refused: schedulers: is missing
StepLR | step_size: 1 | works
StepLR | step_size: 0 | refused: StepLR can't be made
"""
HYDRA = r"""
key=value | optimizer.lr=0.05 | does: test accuracy
group=option | optimizer=adamw scheduler=cosine model=mlp | does: test accuracy
+key=value | +optimizer.maximize=false | does: test accuracy
++key=value | ++optimizer.lr=0.05 ++trainer.max_epochs=1 | does: 1/1
${other.key} | 'optimizer.lr=${optimizer.momentum}' | does: test accuracy
${oc.env:NAME} | 'optimizer.lr="${oc.decode:${oc.env:NO_SUCH,0.1}}"' | does: test accuracy
casts | 'trainer.max_epochs=int(1)' | does: 1/1
~group | ~logger | does: test accuracy
group=null | logger=null scheduler=null experiment=null | does: test accuracy
~key | ~callbacks.figures | does: test accuracy
key=null | callbacks.figures=null | does: test accuracy
+experiment=NAME | +experiment=tuned trainer.max_epochs=1 | does: test accuracy
-m key=a,b | -m seed=0,1 hydra.sweep.dir=runs/s | does: 2 jobs
-m key=range(n) | -m 'seed=range(2)' hydra.sweep.dir=runs/s | does: 2 jobs
-m key=[a],[b] | -m 'model.channels=[4,8],[8,8]' optimizer.lr=0.01,0.1 hydra.sweep.dir=runs/s | does: 4 jobs
-m group=a,b | -m model=mlp,cnn hydra.sweep.dir=runs/s | does: 2 jobs
sweep=NAME | sweep=seeds 'hydra.sweeper.params.seed="0,1"' hydra.sweep.dir=runs/s | does: 2 jobs
hydra.job.chdir | hydra.job.chdir=true output_dir=runs/a | does: test accuracy
hydra.verbose | hydra.verbose=true | does: test accuracy
--cfg | --cfg job | does: max_epochs
--info | --info defaults | does: Defaults List
--resolve | --cfg job --resolve | does: max_epochs
--package | --cfg job --package optimizer | does: momentum
--config-dir | seed=1 --config-dir . | does: test accuracy
hydra/launcher=basic | -m seed=0,1 hydra/launcher=basic hydra.sweep.dir=runs/s | does: 2 jobs
hydra.run.dir | hydra.run.dir=outputs/x | refused: a run's directory is output_dir=DIR
hydra.sweep.subdir | -m seed=0,1 'hydra.sweep.subdir=${hydra.job.num}' | refused: the directories of jobs are named
hydra/sweeper=basic | -m seed=0,1 hydra/sweeper=basic | refused: hydra/sweeper
a misspelt key | optimizer.learning_rate=0.1 | refused: There are: optimizer.lr
a misspelt option | optimizer=adm | refused: Did you mean adam?
another class's key | optimizer=adam optimizer.momentum=0.9 | refused: There are: optimizer.lr, optimizer.betas
a comma without -m | seed=0,1 | refused: several values are a sweep
key= | name= | refused: must be text
quotes missing | data.root=/x/a=b | refused: only in quotes
not key=value | seed | refused: Settings are written key=value
--resolve alone | --resolve | refused: --resolve
no values | -m 'seed=range(0)' | refused: has no values
~key of a class | ~optimizer.lr | refused: can't be removed
group@place | optimizer@opt=adam | refused: a group can't be placed elsewhere
--config-name | --config-name nothere | refused: Cannot find primary config
hydra.mode | hydra.mode=foo | refused: hydra.mode=foo
_target_ elsewhere | model._target_=os.system | refused: must be a class of
"""
HYDRAS = "what Hydra users type"
KINDS = {
    "arguments of the Trainer": (TRAINER, ""),
    "callbacks": (CALLBACKS, "lightning.pytorch.callbacks"),
    "loggers": (LOGGERS, "lightning.pytorch.loggers"),
    "optimizers": (OPTIMIZERS, "torch.optim"),
    "schedulers": (SCHEDULERS, "torch.optim.lr_scheduler"),
    HYDRAS: (HYDRA, ""),
}


@dataclass(frozen=True)
class Row:
    """One line: `settings` are typed, or stand in a file that describes the class `name` of `package`."""

    kind: str
    package: str
    name: str
    settings: str
    outcome: str
    said: str

    @property
    def title(self) -> str:
        return f"{self.kind} {self.name} {self.settings}".strip()

    @property
    def group(self) -> str:
        return self.kind if self.kind in ("callbacks",) else self.kind.removesuffix("s")

    @property
    def words(self) -> list[str]:
        return shlex.split(self.settings) if not self.package else [f"{self.group}=tried"]

    @property
    def file(self) -> str:
        """The content of conf/GROUP/tried.yaml."""
        partial = ["_partial_: true"] if self.group in ("optimizer", "scheduler") else []
        flow = ", ".join(filter(None, [f"_target_: {self.package}.{self.name}", *partial, self.settings]))
        return f"defaults: [default]\ntried: {{{flow}}}\n" if self.group == "callbacks" else f"{{{flow}}}\n"


def rows() -> Iterator[Row]:
    for kind, (lines, package) in KINDS.items():
        for line in lines.strip().splitlines():
            name, settings, expected = (part.strip() for part in line.split(" |"))
            match = re.fullmatch(r"(works|trains|does|refused)(?:: (.+))?", expected)
            assert match, line
            yield Row(kind, package, name, settings, match[1], match[2] or "")
