"""A run or checkpoint from a stranger executes nothing, and makes nobody write outside of it."""

import pickle
import resource
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from conftest import Program
from test_train import fit, go_on

from mnist_lightning import load_run
from mnist_lightning.runs.errors import RunError

CANARY = Path("canary")  # in the test's own folder: does not exist as long as nothing of the stranger's was executed


class Payload:
    def __reduce__(self) -> tuple:
        return Path.touch, (CANARY.absolute(),)


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("honest") / "run"
    fit(directory, "data=digits", "trainer=smoke")
    return directory


@pytest.fixture
def run(honest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a good run, which a test spoils; beside it stands a folder that is none of the run's business."""
    shutil.copytree(honest, tmp_path / "run")
    (tmp_path / "outside").mkdir()
    monkeypatch.chdir(tmp_path)
    return Path("run")


def checkpoint(write: Callable[[Path], None]) -> Callable[[Path], None]:
    return lambda run: write(run / "checkpoints" / "last.ckpt")


def with_payload_alone(path: Path) -> None:
    path.write_bytes(pickle.dumps(Payload()))


def with_payload_inside(path: Path) -> None:
    content = torch.load(path, weights_only=True)
    torch.save(content | {"callbacks": {"Recorder": Payload()}}, path)


def setting(key: str, value: object) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        config = yaml.safe_load((run / "config.yaml").read_text())
        node = config
        *groups, last = key.split(".")
        for group in groups:
            node = node[group]
        node[last] = value
        (run / "config.yaml").write_text(yaml.safe_dump(config))

    return change


def opcodes(code: bytes) -> Callable[[Path], None]:
    """Write a checkpoint whose pickle is `code`: each of these leads torch's reader to an error of another kind."""

    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", code)
            archive.writestr("archive/version", "3")

    return checkpoint(write)


def config_bytes(content: bytes) -> Callable[[Path], None]:
    def write(run: Path) -> None:
        (run / "config.yaml").write_bytes(content)

    return write


def yaml_tag(run: Path) -> None:
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(f"x: !!python/object/apply:os.system ['touch {CANARY}']\n{text}")


def link(name: str, target: str) -> Callable[[Path], None]:
    def replace(run: Path) -> None:
        place = run / name
        if place.is_dir():
            shutil.rmtree(place)
        elif place.exists():
            place.rename(target)
        place.symlink_to(Path(target).absolute())

    return replace


HOSTILE: dict[str, tuple[Callable[[Path], None], str]] = {
    "pickle": (checkpoint(with_payload_alone), "not a checkpoint of this"),
    "torch pickle": (checkpoint(lambda path: torch.save(Payload(), path)), "not a checkpoint of this"),
    "payload inside": (checkpoint(with_payload_inside), "not a checkpoint of this"),
    "os.system": (setting("model", {"_target_": "os.system", "command": f"touch {CANARY}"}), "_target_=os.system"),
    "a method": (setting("model", {"_target_": "pathlib.Path.touch", "self": str(CANARY)}), "_target_=pathlib"),
    "a function of ours": (
        setting("model", {"_target_": "mnist_lightning.runs.files.write_atomically", "path": str(CANARY)}),
        "_target_=mnist_lightning.runs.files",
    ),
    "what a package imports": (
        setting("model", {"_target_": "torch.nn.modules.module.os.system", "command": f"touch {CANARY}"}),
        "_target_=torch",
    ),
    "a target within": (
        setting("model.channels", [{"_target_": "os.system", "command": f"touch {CANARY}"}]),
        r"model\.channels",
    ),
    "IndexError": (opcodes(b"\x80\x02."), "not a checkpoint of this"),
    "KeyError": (opcodes(b"\x80\x02h\x05."), "not a checkpoint of this"),
    "TypeError": (opcodes(b"\x80\x02ctorch\nfloat32\n)R."), "not a checkpoint of this"),
    "environment": (setting("name", "${oc.env:HOME}"), r"config\.yaml has \$\{oc\.env:HOME\}: only \$\{output_dir\}"),
    "aliases": (config_bytes(b"a: &a [1, 2]\nb: [*a, *a]\n"), "repeats itself by aliases"),
    "enormous": (config_bytes(b"a: 1\n" * 20_000), "too large"),
    "brackets": (config_bytes(b"[" * 50_000), "too large"),
    "deep": (config_bytes(b"- " * 5_000), "config.yaml can't be read"),
    "no text": (config_bytes(b"\xff\xfe\xff"), "config.yaml can't be read"),
    "yaml tag": (yaml_tag, "config.yaml can't be read"),
    "checkpoints elsewhere": (setting("callbacks.last_checkpoint.dirpath", "outside"), "outside of the run"),
    "file name with ..": (setting("callbacks.last_checkpoint.filename", "../../outside/x"), "outside of the run"),
    "events elsewhere": (setting("logger.directory", "${output_dir}/../outside"), "outside of the run"),
    "figures elsewhere": (setting("callbacks.layer_table.anything", "/tmp/x"), "anything"),
    "link to a file": (link("results.json", "outside/results.json"), "is a link out of the run"),
    "link to a folder": (link("figures", "outside"), "is a link out of the run"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_run_is_refused(name: str, run: Path) -> None:
    spoil, message = HOSTILE[name]
    spoil(run)
    before = sorted(Path("outside").iterdir())
    for use in (load_run, lambda run: go_on(run, "trainer.max_epochs=2")):
        with pytest.raises(RunError, match=message):
            use(run)
    assert not CANARY.exists()
    assert sorted(Path("outside").iterdir()) == before


def test_vast_network_takes_no_memory(run: Path) -> None:
    setting("model.channels", [4096, 4096])(run)  # 420 million weights, 1.7 GB
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(RunError, match=r"does not fit the network that run/config\.yaml describes"):
        load_run(run)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**19, "KiB: less than half a GiB"


@pytest.mark.parametrize(
    ("spoiled", "message"),
    [
        (torch.full((10,), torch.nan), "has weights that are no finite numbers"),
        (torch.zeros(10, dtype=torch.int8), "has weights that are no finite numbers"),
        (torch.zeros(10, dtype=torch.complex64), "has weights that are no finite numbers"),
        (torch.zeros(11), "does not fit"),
        (torch.zeros(10).to_sparse(), "does not fit"),
        (torch.zeros(10, device="meta"), "does not fit"),
        (0.5, "does not fit"),
    ],
    ids=["NaN", "whole", "complex", "shape", "sparse", "meta", "no tensor"],
)
def test_unsound_weights_are_refused(spoiled: object, message: str, run: Path) -> None:
    path = run / "checkpoints" / "last.ckpt"
    content = torch.load(path, weights_only=True)
    content["state_dict"]["network.classifier.1.bias"] = spoiled
    torch.save(content, path)
    with pytest.raises(RunError, match=rf"last\.ckpt {message}"):
        load_run(run)


def test_the_honest_run_is_not_refused(run: Path) -> None:
    """Else nothing of the above would say anything."""
    assert load_run(run).epochs == 1
    assert go_on(run, "trainer.max_epochs=2")["status"] == "finished"
    pickle.loads(pickle.dumps(Payload()))
    assert CANARY.exists(), "the canary sings when it is executed"


def test_hostile_checkpoint_is_refused_by_the_command(run: Path, program: Program) -> None:
    HOSTILE["torch pickle"][0](run)
    ended = program("train.py", "resume=run", "trainer.max_epochs=2")
    assert ended.returncode == 1
    assert "last.ckpt is not a checkpoint of this project, or damaged" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not CANARY.exists()
