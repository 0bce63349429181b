"""Payloads in config.yaml: in the network it describes, its text, its values, and what else of it a resume obeys."""

from collections.abc import Iterator
from typing import Any

import torch

from attacks import spoiling as by
from attacks.commands import (
    COMPARE,
    ESCAPES,
    EVALUATE,
    EVALUATE_JSON,
    EXPORT,
    LOAD,
    PREDICT,
    RESUME,
    Payload,
    of_kind,
)  # fmt: skip

LOGGER, CALLBACK, TORCH = "lightning.pytorch.loggers.", "lightning.pytorch.callbacks.", "torch.nn."
CHECKPOINT = "mnist_lightning.training.checkpoints.RunCheckpoint"


def networks() -> Iterator[Payload]:
    """What stands in the place of the network: the one class of a stranger's run that is ever made."""
    of = of_kind("networks", LOAD)
    for name, description in classes_of_other_kinds().items():
        yield of(name, by.setting("model", description))
    for name, description in constructors_that_fail().items():
        yield of(name, by.setting("model", description))
    for name, (description, weights) in networks_that_fail().items():
        yield of(name, by.other_network({"_target_": f"{TORCH}{name.split()[0]}", **description}, **weights), EVALUATE)
    parts = {"channels": [4096] * 40, "kernel_size": 10**9, "padding": 10**9, "image_size": 10**9, "classes": 10**12}
    for name, value in parts.items():
        yield of(f"{name} enormous", by.setting(f"model.{name}", value))
    yield of("a class within", by.setting("model.channels", [{"_target_": "os.system", "command": "touch {canary}"}]))
    yield of("no class", by.setting("model", {"channels": [10, 20]}))
    yield of("a list", by.setting("model", [1, 2]))
    yield of("nothing", by.setting("model", None))
    yield of("left out", by.without("model"))


def classes_of_other_kinds() -> dict[str, dict[str, Any]]:
    url = "127.0.0.1:{port}/x"
    return {
        "os.system": {"_target_": "os.system", "command": "touch {canary}"},
        "eval": {"_target_": "builtins.eval", "source": "1"},
        "a shell of torch's": {"_target_": "torch.utils.collect_env.run", "command": "touch {canary}"},
        "what a package imports": {"_target_": "torch.nn.modules.module.os.system", "command": "touch {canary}"},
        "a module that a package imports": {"_target_": "mnist_lightning.runs.files.os.system", "command": "x"},
        "a function of ours": {"_target_": "mnist_lightning.runs.files.write_atomically", "path": "{canary}"},
        "a class of ours": {"_target_": "mnist_lightning.runs.run.Run", "directory": "{home}/thesis", "results": {}},
        "our logger": {"_target_": "mnist_lightning.training.tensorboard.RunLogger", "directory": "{home}/thesis"},
        "a writer": {"_target_": f"{LOGGER}csv_logs.ExperimentWriter", "log_dir": "{home}"},
        "a writer, http": {"_target_": f"{LOGGER}csv_logs.ExperimentWriter", "log_dir": f"http://{url}"},
        "a checkpoint, ftp": {"_target_": f"{CALLBACK}ModelCheckpoint", "dirpath": f"ftp://{url}"},
        "a store": {"_target_": f"{LOGGER}MLFlowLogger", "tracking_uri": "file:{home}/store"},
        "the data": {"_target_": "mnist_lightning.data.ImageDataModule", "dataset": "mnist", "root": "{home}/new"},
        "a module in the home": {"_target_": "thesis.Network"},
        "dots": {"_target_": "torch.nn....Linear"},
        "a zero in its name": {"_target_": "torch.nn.a\0b.Linear"},
        "half a character in its name": {"_target_": "torch.nn.\udc80.Linear"},
        "escape sequences in its name": {"_target_": f"torch.nn.{ESCAPES}"},
        "a long name": {"_target_": "torch.nn" + ".a" * 20_000},
        "no name": {"_target_": ""},
        "a number": {"_target_": 5},
    }


def data_and_training() -> Iterator[Payload]:
    """What a run of one's own says of its images, its training and its beginning: none of it is for looking."""
    of, folder = of_kind("configurations", EVALUATE, RESUME), "mnist_lightning.datasets.folder.Folder"
    yield of("a source that reads a folder", by.setting("data.source", {"_target_": folder, "root": "{home}/thesis"}))
    yield of("a source that is no source", by.setting("data.source", {"_target_": "os.system", "command": "x"}))
    yield of("a source in the home", by.setting("data.source", {"_target_": "thesis.Source"}))
    yield of("a place for it", by.setting("data.root", "{home}/thesis"))
    yield of("a module of another kind", by.setting("module", {"_target_": "os.system", "command": "touch {canary}"}))
    yield of("another run to begin with", by.setting("init_from", "{home}/thesis"))
    yield of("layers to freeze", by.setting("freeze", ["{home}", ESCAPES]))
    yield of("data called otherwise", by.setting("data.dataset", "../../thesis"))
    yield of("data of nobody's", by.setting("data.dataset", "theirs"))


def constructors_that_fail() -> dict[str, dict[str, Any]]:
    some: dict[str, dict[str, Any]] = {
        "LSTM, 100,000 layers": {"input_size": 1, "hidden_size": 1, "num_layers": 100_000},
        "RNN, of texts": {"input_size": "x", "hidden_size": [], "num_layers": None},
        "Transformer, a million layers": {"d_model": 8, "nhead": 1, "num_encoder_layers": 1_000_000},
        "GroupNorm, of no groups": {"num_groups": 0, "num_channels": 4},
        "Embedding, padded outside": {"num_embeddings": 3, "embedding_dim": 3, "padding_idx": 99},
        "Hardtanh, upside down": {"min_val": 1.0, "max_val": 0.0},
        "Linear, vast": {"in_features": 10**12, "out_features": 10**12},
        "Linear, beyond numbers": {"in_features": 10**30, "out_features": 1},
        "Linear, on a device": {"in_features": 1, "out_features": 1, "device": "cuda:99"},
        "Linear, of a type": {"in_features": 1, "out_features": 1, "dtype": "torch.float32"},
        "Conv2d, of no groups": {"in_channels": 1, "out_channels": 1, "kernel_size": 1, "groups": 0},
        "MultiheadAttention, of no heads": {"embed_dim": 8, "num_heads": 0},
        "AdaptiveLogSoftmaxWithLoss, wrong": {"in_features": 8, "n_classes": 10, "cutoffs": [[]]},
        "Bilinear, vast": {"in1_features": 10**6, "in2_features": 10**6, "out_features": 10**6},
        "DataParallel, of settings": {"module": {"a": 1}},
        "Sequential, of settings": {"args": [1, 2]},
        "ModuleList, of numbers": {"modules": [1, 2]},
        "ParameterList, of numbers": {"values": [1.0, 2.0]},
        "Unflatten, wrong": {"dim": [], "unflattened_size": []},
        "LazyLinear, of any width": {"out_features": 10},
        "PixelShuffle, of a text": {"upscale_factor": "x"},
        "parallel.DistributedDataParallel, of none": {"module": None},
    }
    module = {"_target_": "mnist_lightning.module.Classifier", "network": {}, "optimizer": {}, "scheduler": {}}
    classes = {name: {"_target_": f"{TORCH}{name.partition(',')[0]}", **settings} for name, settings in some.items()}
    return classes | {"Classifier, of settings": module}


def networks_that_fail() -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Return networks of torch's that fit their weights, and no images; or take more memory than there is."""
    zeros = torch.zeros
    return {
        "Identity": ({}, {}),
        "Module": ({}, {}),
        "Flatten": ({}, {}),
        "Linear": ({"in_features": 28, "out_features": 10}, {"weight": zeros(10, 28), "bias": zeros(10)}),
        "ConstantPad2d far": ({"padding": 30_000, "value": 0.0}, {}),
        "Upsample far": ({"scale_factor": 1000.0}, {}),
        "AdaptiveAvgPool2d far": ({"output_size": 100_000}, {}),
        "Conv2d far": (
            {"in_channels": 1, "out_channels": 1, "kernel_size": 1, "padding": 20_000},
            {"weight": zeros(1, 1, 1, 1), "bias": zeros(1)},
        ),
        "Conv2d of no step": (
            {"in_channels": 1, "out_channels": 1, "kernel_size": 1, "stride": 0},
            {"weight": zeros(1, 1, 1, 1), "bias": zeros(1)},
        ),
        "Embedding": ({"num_embeddings": 3, "embedding_dim": 3}, {"weight": zeros(3, 3)}),
        "MultiheadAttention": (
            {"embed_dim": 4, "num_heads": 1},
            {
                "in_proj_weight": zeros(12, 4), "in_proj_bias": zeros(12), "out_proj.weight": zeros(4, 4),
                "out_proj.bias": zeros(4),
            },
        ),
        "GRU": (
            {"input_size": 1, "hidden_size": 1, "bias": False},
            {"weight_ih_l0": zeros(3, 1), "weight_hh_l0": zeros(3, 1)},
        ),
        "CrossEntropyLoss": ({}, {}),
        "Unflatten": ({"dim": 1, "unflattened_size": [1, 1]}, {}),
        "Softmax": ({"dim": 99}, {}),
        "PixelUnshuffle": ({"downscale_factor": 0}, {}),
    }  # fmt: skip


def configurations() -> Iterator[Payload]:
    """A config.yaml that is none, or whose values are of other kinds and sizes."""
    yield from data_and_training()
    of = of_kind("configurations", LOAD, COMPARE)
    for name, content in texts().items():
        yield of(name, by.file("config.yaml", content))
    for depth in (20, 60, 100, 150, 190):
        yield of(f"a list {depth} deep", by.config_line("x: " + "[" * depth + "]" * depth))
        deep: Any = 1
        for _ in range(depth):
            deep = [deep]
        yield of(f"channels {depth} deep", by.setting("model.channels", deep))
    for name, line in lines().items():
        yield of(name, by.config_line(line))
    for key in ("data", "name", "seed", "output_dir", "data.std"):
        yield of(f"without {key}", by.without(key))
    for name, (key, value) in values().items():
        yield of(name, by.setting(key, value))
    for name, (key, value) in vast_numbers().items():
        yield of(name, by.setting(key, value), EVALUATE_JSON, PREDICT)
    yield of("a name as a file of the home", by.setting("name", "../../thesis"), EXPORT)
    yield of("a title that is a formula", by.setting("seed", "$\\frac{1}{"), EVALUATE)


def texts() -> dict[str, bytes]:
    stairs = b"".join(b" " * depth + b"a:\n" for depth in range(340))
    laughs = b"a0: &a0 {x: 1, y: 2}\n" + b"".join(
        b"a%d: &a%d {x: *a%d, y: *a%d}\n" % (level, level, level - 1, level - 1) for level in range(1, 40)
    )
    return {
        "empty": b"", "a number": b"5", "no YAML": b"{[}", "not UTF-8": b"name: \xff\xfe",
        "UTF-16": "name: x".encode("utf-16"),
        "zeros": bytes(10_000), "50,000 brackets": b"[" * 50_000, "50,000 braces": b"{a: " * 16_000,
        "5,000 dashes": b"- " * 5_000, "100 dashes": b"output_dir: x\nmodel: \n" + b"- " * 100 + b"1",
        "200 dashes": b"output_dir: x\nmodel: \n" + b"- " * 200 + b"1", "stairs": stairs,
        "stairs, of 100": b"output_dir: x\n" + stairs[:5250], "question marks": b"? " * 5_000,
        "enormous": b"a: 1\n" * 20_000,
        "twenty megabytes": b"a: 1\n" * 4_000_000, "aliases": b"a: &a [1, 2]\nb: [*a, *a]\n",
        "a billion laughs": laughs,
        "an alias of itself": b"a: &a [*a]\n", "anchors": b"".join(b"a%d: &x%d 1\n" % (n, n) for n in range(4000)),
        "quotes without end": b"output_dir: \"" + b"x" * 60_000, "many documents": b"--- 1\n" * 9_000,
        "a long key": b"x" * 60_000 + b": 1", "60,000 keys": b"".join(b"k%d: 1\n" % n for n in range(6000)),
    }  # fmt: skip


def lines() -> dict[str, str]:
    return {
        "a tag that calls": "x: !!python/object/apply:os.system ['touch {canary}']",
        "a tag that makes": "x: !!python/object/new:os.system ['touch {canary}']",
        "a tag that names": "x: !!python/name:os.system",
        "a tag that imports": "x: !!python/module:thesis",
        "a tag for bytes": "x: !!binary aGVsbG8=",
        "a tag for a set": "x: !!set {a, b}",
        "a tag for pairs": "x: !!pairs [a: 1, b: 2]",
        "a date": "seed: 2020-01-01",
        "the same key twice": "model: {_target_: os.system}",
        "a merge": "<<: {seed: 7}",
        "a key that is a list": "? [a, b]\n: 1",
        "a key that is a number": "5: 1",
        "a key that is nothing": "~: 1",
        "a key with dots": "data.dataset: mnist",
        "a hexadecimal number of 40,000 digits": "seed: 0x" + "f" * 40_000,
        "a number of 40,000 digits": "seed: " + "9" * 40_000,
        "a number of base sixty": "seed: 1" + ":1" * 20_000,
        "no number": "seed: .nan",
        "missing": "seed: ???",
        "a missing name": "name: ???",
        "a missing network": "model: ???",
        "a missing class": "model: {_target_: ???}",
        "half a character": 'x: "\\ud800"',
        "half a character in the name": 'name: "\\ud800"',
    }


def values() -> dict[str, tuple[str, Any]]:
    return {
        "the home": ("name", "${oc.env:HOME}"),
        "a variable of Hydra's": ("name", "${hydra:runtime.cwd}"),
        "a decoder": ("name", "${oc.decode:'1'}"),
        "a variable in a variable": ("name", "${${output_dir}}"),
        "half a variable": ("name", "${"),
        "an escaped variable": ("name", "\\\\${oc.env:HOME}"),
        "a variable in a key": ("data", {"${oc.env:HOME}": 1}),
        "its own folder": ("output_dir", "${output_dir}"),
        "its folder as the network": ("model", "${output_dir}"),
        "its folder as a number": ("data.test_batch_size", "${output_dir}"),
        "escape sequences as a name": ("name", ESCAPES),
        "escape sequences as a data set": ("data.dataset", ESCAPES),
        "escape sequences as a class": ("model._target_", f"mnist_lightning.{ESCAPES}"),
        "escape sequences as a setting": (f"model.{ESCAPES}", 1),
        "a path as a data set": ("data.dataset", "../../etc"),
        "data as a list": ("data", [1, 2]),
        "data as a number": ("data", 5),
        "no data": ("data", None),
        "a batch of 10 to the 30": ("data.test_batch_size", 10**30),
        "a batch of none": ("data.test_batch_size", 0),
        "a batch of true": ("data.test_batch_size", True),
        "a name of 10,000": ("name", "x" * 10_000),
        "a name with a line break": ("name", "x\ny"),
        "a name with a zero": ("name", "x\0y"),
        "the seed a list": ("seed", [1]),
        "a spread of infinity": ("data.std", float("inf")),
        "a spread of 10 to the 400": ("data.std", 10**400),
        "a mean that is no number": ("data.mean", float("nan")),
    }


def vast_numbers() -> dict[str, tuple[str, Any]]:
    return {
        "a spread of nearly nothing": ("data.std", 1e-300), "a spread of very much": ("data.std", 1e300),
        "a mean of very much": ("data.mean", 1e300), "a seed of 10 to the 300": ("seed", 10**300),
    }  # fmt: skip


def settings() -> Iterator[Payload]:
    """What writes, sends or runs by a setting, if it is obeyed: a look does not, and a resume refuses the run."""
    of = of_kind("settings", LOAD, RESUME)
    for name, (key, value) in paths().items():
        yield of(name, by.setting(key, value))
    for name, description in loggers().items():
        yield of(name, by.setting("logger", description))
    for name, description in callbacks().items():
        yield of(name, by.setting("callbacks.x", description))
    for name, (key, value) in of_training().items():
        yield of(name, by.setting(key, value), EVALUATE, RESUME)


def paths() -> dict[str, tuple[str, Any]]:
    last = "callbacks.last_checkpoint."
    url = "127.0.0.1:{port}/x"
    return {
        "checkpoints elsewhere": (f"{last}dirpath", "{home}/checkpoints"),
        "checkpoints further up": (f"{last}dirpath", "${output_dir}/../../checkpoints"),
        "checkpoints nowhere": (f"{last}dirpath", None),
        "checkpoints by ftp": (f"{last}dirpath", f"ftp://{url}"),
        "checkpoints by http": (f"{last}dirpath", f"http://{url}"),
        "checkpoints by a reference": (f"{last}dirpath", f"reference::http://{url}"),
        "checkpoints by a cache": (f"{last}dirpath", f"simplecache::http://{url}"),
        "a format as a file's name": (f"{last}filename", "{step:.>2c}/{step:.>2c}/model"),
        "a format that reads": (f"{last}filename", "{epoch.__class__.__init__.__globals__}"),
        "figures elsewhere": ("callbacks.figures.directory", "{home}/figures"),
        "figures by a link to a file": ("callbacks.figures.directory", "file://{home}/figures"),
        "the root elsewhere": ("trainer.default_root_dir", "{home}"),
        "the root nowhere": ("trainer.default_root_dir", None),
        "the run elsewhere": ("output_dir", "{home}/thesis"),
        "data elsewhere": ("data", {**MNIST, "root": "{home}/new", "search": []}),
        "data by http": ("data", {**MNIST, "root": f"http://{url}", "search": [f"ftp://{url}"]}),
        "data in a device": ("data", {**MNIST, "root": "/dev/zero", "search": ["/dev/stdin"]}),
    }


MNIST = {
    "_target_": "mnist_lightning.data.ImageDataModule", "dataset": "mnist", "batch_size": 64, "test_batch_size": 500,
    "val_size": 0, "val_seed": 0, "mean": 0.137, "std": 0.3081, "seed": 0,
}  # fmt: skip


TRAINER, PROFILER = "lightning.pytorch.Trainer", "lightning.pytorch.profilers.SimpleProfiler"


def loggers() -> dict[str, dict[str, Any]]:
    return {
        "events elsewhere": {
            "_target_": "mnist_lightning.training.tensorboard.RunLogger",
            "directory": "{home}/thesis",
        },
        "a table elsewhere": {"_target_": f"{LOGGER}CSVLogger", "save_dir": "{home}", "name": "", "version": ""},
        "a store elsewhere": {"_target_": f"{LOGGER}MLFlowLogger", "tracking_uri": "file:{home}/store"},
        "a store by http": {"_target_": f"{LOGGER}MLFlowLogger", "tracking_uri": "http://127.0.0.1:{port}"},
        "a service": {"_target_": f"{LOGGER}WandbLogger", "save_dir": "{home}", "project": "x"},
        "a service, comet": {"_target_": f"{LOGGER}CometLogger", "offline_directory": "{home}"},
        "a command as the logger": {"_target_": "os.system", "command": "touch {canary}"},
        "TensorBoard by http": {"_target_": f"{LOGGER}TensorBoardLogger", "save_dir": "http://127.0.0.1:{port}"},
    }


def callbacks() -> dict[str, dict[str, Any]]:
    return {
        "a command as a callback": {"_target_": "os.system", "command": "touch {canary}"},
        "a shell as a callback": {"_target_": "torch.utils.collect_env.run", "command": "touch {canary}"},
        "a second checkpoint elsewhere": {"_target_": CHECKPOINT, "dirpath": "{home}/checkpoints", "filename": "last"},
        "a watch over spikes": {"_target_": f"{CALLBACK}SpikeDetection", "atol": 0.0, "rtol": 0.0, "finite_only": True},
        "a profile elsewhere": {"_target_": f"{CALLBACK}DeviceStatsMonitor"},
    }


def of_training() -> dict[str, tuple[str, Any]]:
    return {
        "64 devices": ("trainer.devices", 64),
        "processes of its own": ("trainer", {"_target_": TRAINER, "strategy": "ddp_spawn", "devices": 6}),
        "a trainer of another kind": ("trainer", {"_target_": "os.system", "command": "touch {canary}"}),
        "a profiler": ("trainer.profiler", {"_target_": PROFILER, "dirpath": "{home}"}),
        "an optimizer of another kind": ("optimizer", {"_target_": "os.system", "command": "touch {canary}"}),
        "a scheduler of another kind": ("scheduler", {"_target_": "os.system", "command": "touch {canary}"}),
        "data of another kind": ("data._target_", "os.system"),
    }  # fmt: skip
