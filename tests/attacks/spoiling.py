"""How a run or a sweep is spoiled: each function here returns one that does it to a scene."""

import io
import json
import os
import pickle
import shutil
import socket
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import yaml

from attacks.scene import JOBS, Scene, edit_json, seal

Spoil = Callable[[Scene], None]
LAST = "checkpoints/last.ckpt"
BIAS = "network.classifier.1.bias"  # of ten numbers


class Call:
    """What pickle turns into a call of a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.function, self.arguments


def both(*some: Spoil) -> Spoil:
    """Spoil in several ways, one after the other."""

    def spoil(scene: Scene) -> None:
        for one in some:
            one(scene)

    return spoil


def nothing(_: Scene) -> None:
    """Leave the run as it is."""


def file(name: str, content: bytes | Callable[[Scene], bytes]) -> Spoil:
    """Put a file in the place of what is there; names are relative to the run, or below ../sweep."""

    def spoil(scene: Scene) -> None:
        written = content if isinstance(content, bytes) else content(scene)
        path = freed(scene.run / name)
        path.write_bytes(written)

    return spoil


def freed(path: Path) -> Path:
    """Remove what is there, and return the path."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def removed(name: str) -> Spoil:
    return lambda scene: void(freed(scene.run / name))


def void(_: object) -> None:
    """For what returns a value where none is wanted."""


def pipe(name: str) -> Spoil:
    return lambda scene: os.mkfifo(freed(scene.run / name))


def folder(name: str) -> Spoil:
    return lambda scene: freed(scene.run / name).mkdir()


def link(name: str, target: str) -> Spoil:
    """Put a link in the place of what is there; {home} and {run} stand for where these are."""

    def spoil(scene: Scene) -> None:
        freed(scene.run / name).symlink_to(target.format(home=scene.home, run=scene.run))

    return spoil


def moved_out(name: str) -> Spoil:
    """Move a file or folder of the run out of it, and leave a link."""

    def spoil(scene: Scene) -> None:
        goal = scene.home / "elsewhere" / Path(name).name
        goal.parent.mkdir(exist_ok=True)
        (scene.run / name).rename(goal)
        (scene.run / name).symlink_to(goal)

    return spoil


def sparse(name: str, size: int) -> Spoil:
    """Put a file of zeros there that takes no room on the disk."""

    def spoil(scene: Scene) -> None:
        with freed(scene.run / name).open("wb") as zeros:
            zeros.truncate(size)

    return spoil


def at_setting(key: str, change: Callable[[Any, str, Scene], None]) -> Spoil:
    """Change config.yaml where a setting stands, by its dotted name: `change` gets the group and the last name."""

    def spoil(scene: Scene) -> None:
        path = scene.run / "config.yaml"
        config = yaml.safe_load(path.read_text())
        node = config
        *groups, last = key.split(".")
        for group in groups:
            node = node[group]
        change(node, last, scene)
        path.write_text(yaml.safe_dump(config, allow_unicode=True))

    return spoil


def setting(key: str, value: Any) -> Spoil:
    """Change a setting of config.yaml by its dotted name; in texts {work}, {home} and {port} are filled in."""
    return at_setting(key, lambda node, name, scene: node.__setitem__(name, filled(value, scene)))


def filled(value: Any, scene: Scene) -> Any:
    if isinstance(value, Mapping):
        return {key: filled(item, scene) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item, scene) for item in value]
    if isinstance(value, str):
        places = {"canary": scene.canary, "work": scene.work, "home": scene.home, "port": scene.port}
        for name, place in places.items():
            value = value.replace(f"{{{name}}}", str(place))
    return value


def without(key: str) -> Spoil:
    """Take a setting out of config.yaml, by its dotted name."""
    return at_setting(key, lambda node, name, _: node.__delitem__(name))


def config_line(line: str) -> Spoil:
    """Add a line to config.yaml, as it is."""

    def spoil(scene: Scene) -> None:
        path = scene.run / "config.yaml"
        path.write_text(path.read_text() + str(filled(line, scene)) + "\n")

    return spoil


def text_in(name: str, old: str, new: str) -> Spoil:
    """Change a text in a file."""

    def spoil(scene: Scene) -> None:
        before = (scene.run / name).read_text()
        assert old in before, f"{old} is not in {name}"
        (scene.run / name).write_text(before.replace(old, str(filled(new, scene)), 1))

    return spoil


def checkpoint(change: Callable[[dict[str, Any]], Any], name: str = LAST) -> Spoil:
    """Write a checkpoint that is changed in place, or replaced by what `change` returns."""

    def spoil(scene: Scene) -> None:
        content = torch.load(scene.run / name, weights_only=True)
        torch.save(changed if (changed := change(content)) is not None else content, scene.run / name)

    return spoil


def weight(value: Any) -> Spoil:
    """Put something else in the place of one of the network's tensors."""
    return checkpoint(lambda content: content["state_dict"].update({BIAS: value}))


def weights_alone(**tensors: Any) -> Spoil:
    """Put a whole state dict in the place of the network's."""
    return checkpoint(lambda content: content.update(state_dict={f"network.{k}": v for k, v in tensors.items()}))


def other_network(description: Any, **tensors: Any) -> Spoil:
    """Describe another network, with weights that fit it."""
    return both(setting("model", description), weights_alone(**tensors))


def packed(entries: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> Callable[[Scene], bytes]:
    """Return a zip archive of these entries."""

    def content(_: Scene) -> bytes:
        return zipped(entries, compression)

    return content


def zipped(entries: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def opcodes(code: bytes) -> Spoil:
    """Put a checkpoint there whose pickle is `code`."""
    return file(LAST, packed({"archive/data.pkl": code, "archive/version": b"3\n", "archive/byteorder": b"little"}))


def bytes_of(change: Callable[[bytes], bytes], name: str = LAST) -> Spoil:
    """Change the bytes of a file."""
    return lambda scene: void((scene.run / name).write_bytes(change((scene.run / name).read_bytes())))


def call(scene: Scene, kind: str) -> Call:
    """Return a call that leaves the canary, connects, or removes a folder, by a function that is always there."""
    import subprocess
    import urllib.request

    from joblib import load  # type: ignore[import-untyped]
    from torch.utils.collect_env import run

    touch, url = f"touch {scene.canary}", f"http://127.0.0.1:{scene.port}/"
    nested = scene.run / "nested.pickle"
    if kind in ("joblib.load", "torch.load"):
        nested.write_bytes(pickle.dumps(Call(os.system, touch)))
    calls: dict[str, Call] = {
        "os.system": Call(os.system, touch),
        "eval": Call(eval, f"__import__('os').system({touch!r})"),
        "exec": Call(exec, f"import os; os.system({touch!r})"),
        "subprocess": Call(subprocess.check_call, touch.split()),
        "a shell of torch's": Call(run, touch),
        "a connection": Call(socket.create_connection, ("127.0.0.1", scene.port)),
        "urlopen": Call(urllib.request.urlopen, url),
        "rmtree": Call(shutil.rmtree, str(scene.home / "thesis")),
        "open": Call(open, str(scene.home / "thesis.txt"), "w"),
        "joblib.load": Call(load, str(nested)),
        "torch.load": Call(torch.load, str(nested), None, None),
        "torch.hub": Call(torch.hub.download_url_to_file, url, str(scene.canary)),
    }
    return calls[kind]


def results(place: str = "results.json", /, **changes: Any) -> Spoil:
    """Change what results.json says."""
    return lambda scene: edit_json(scene.run / place, **changes)


def results_text(content: str | bytes) -> Spoil:
    return file("results.json", content.encode() if isinstance(content, str) else content)


def sweep(**changes: Any) -> Spoil:
    """Change what the sweep's sweep.json says; in texts {work}, {home} and {port} are filled in."""
    return lambda scene: edit_json(scene.sweep / "sweep.json", **{k: filled(v, scene) for k, v in changes.items()})


def sweep_text(content: str | bytes) -> Spoil:
    return file("../sweep/sweep.json", content.encode() if isinstance(content, str) else content)


def command(*words: str) -> Spoil:
    """Change what was typed for the sweep."""
    return sweep(command=["train.py", "-m", "data=digits", "seed=0,1", *words])


def job(directory: str = JOBS[1], overrides: Any = ("data=digits", "seed=1")) -> Spoil:
    """Leave the sweep one job."""
    return sweep(jobs=[{"directory": directory, "overrides": overrides, "pruned": False}])


def owned(scene: Scene) -> None:
    """Put the run under the victim's own key, as it was before it was spoiled."""
    seal(scene.run, scene.material.key)


def owned_sweep(scene: Scene) -> None:
    """Put the sweep and its jobs under the victim's own key, as they were before they were spoiled."""
    for directory in (scene.sweep, *(scene.sweep / name for name in JOBS)):
        if (directory / "seal.json").exists():
            seal(directory, scene.material.key)


def renamed(name: str, is_sweep: bool = False) -> Spoil:
    """Give the run's or the sweep's directory another name."""

    def spoil(scene: Scene) -> None:
        before = scene.sweep if is_sweep else scene.run
        before.rename(before.with_name(name))
        setattr(scene, "sweep" if is_sweep else "run", before.with_name(name))

    return spoil


def forged(hmac: Any) -> Spoil:
    return lambda scene: edit_json(scene.run / "seal.json", hmac=hmac)


def json_of(content: Any) -> bytes:
    return json.dumps(content).encode()
