"""Payloads in a checkpoint: in its pickle, its zip archive, its tensors, its plain values."""

import pickle
import random
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch

from attacks import spoiling as by
from attacks.commands import ESCAPES, EVALUATE_BEST, LOAD, OWN, PREDICT, RESUME, Payload, of_kind
from attacks.scene import Scene
from attacks.spoiling import BIAS, LAST, Spoil


def pickles() -> Iterator[Payload]:
    """A call where a checkpoint's plain values should be."""
    of = of_kind("pickles", LOAD)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        yield of(f"alone, protocol {protocol}", by.file(LAST, pickled(protocol)))
    for protocol in (0, 2, 4):
        yield of(f"in a zip, protocol {protocol}", by.file(LAST, pickled(protocol, is_zipped=True)))
    kinds = (
        "eval", "exec", "subprocess", "a shell of torch's", "urlopen", "rmtree", "open", "joblib.load", "torch.load",
        "torch.hub",
    )  # fmt: skip
    for kind in kinds:
        yield of(kind, with_call(kind))
    places = ("state_dict", "callbacks", "loops", "hyper_parameters", "optimizer_states", "epoch", "global_step", "new")
    for place in places:
        yield of(f"as {place}", with_call("os.system", under(place)))
    yield of("as a weight", with_call("os.system", lambda content, bad: content["state_dict"].update({BIAS: bad})))
    yield of("deep within", with_call("os.system", lambda content, bad: content.update(x=[{"y": ({"z": [bad]},)}])))
    yield of("torch's older format", older_format)
    yield of("a tensor of a type that is a call", by.opcodes(rebuilt_by_a_call()))
    yield of("by names of Python 2", by.opcodes(b"\x80\x02c__builtin__\neval\n" + binary("1 + 1") + b"\x85R."))
    yield of("in one's own run", by.both(with_call("os.system"), by.owned), OWN)
    yield of("in one's own run, both", by.both(with_call("os.system"), with_best("os.system"), by.owned), OWN)
    yield of("read by its own name", with_best("os.system"), EVALUATE_BEST)


def pickled(protocol: int, is_zipped: bool = False) -> Callable[[Scene], bytes]:
    def content(scene: Scene) -> bytes:
        code = pickle.dumps(touch(scene), protocol)
        return by.zipped({"archive/data.pkl": code}) if is_zipped else code

    return content


def under(key: str) -> Callable[[dict[str, Any], Any], None]:
    return lambda content, bad: content.update({key: bad})


def touch(scene: Scene) -> by.Call:
    return by.call(scene, "os.system")


def with_call(kind: str, put: Callable[[dict[str, Any], Any], None] | None = None, name: str = LAST) -> Spoil:
    """Put a call into a checkpoint, else in the place of it."""

    def spoil(scene: Scene) -> None:
        bad = by.call(scene, kind)
        content: Any = torch.load(scene.run / name, weights_only=True)
        if put:
            put(content, bad)
        torch.save(content if put else bad, scene.run / name)

    return spoil


def with_best(kind: str) -> Spoil:
    return with_call(kind, name="checkpoints/best.ckpt")


def older_format(scene: Scene) -> None:
    torch.save({"state_dict": touch(scene)}, scene.run / LAST, _use_new_zipfile_serialization=False)


def rebuilt_by_a_call() -> bytes:
    """Return the pickle of a tensor subclass, which torch's reader makes by calling what the file names."""
    call = b"ctorch._tensor\n_rebuild_from_type_v2\n(cos\nsystem\ncos\nsystem\n(X\x04\x00\x00\x00true\x85}tR."
    return b"\x80\x02" + call


def archives() -> Iterator[Payload]:
    """Zip files that are not what they say, or take more memory than disk."""
    of = of_kind("archives", LOAD)
    zeros = bytes(10_000_000)
    for compression in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        inflating = by.packed({f"archive/data/{part}": zeros for part in range(20)}, compression)
        yield of(f"packed by method {compression}", by.file(LAST, inflating))
    yield of("inflating to 3 GB", inflating_to(300))
    yield of("a pickle of zeros in a hole", hole("archive/data.pkl", 3 * 2**30))
    yield of("weights in a hole", hole("archive/data/0", 3 * 2**30))
    yield of("all of it a hole", by.sparse(LAST, 2**40))
    yield of("all of it a hole, in one's own run", by.both(by.sparse(LAST, 2**40), by.owned), OWN)
    yield of("no zip", by.file(LAST, b"not a zip"))
    yield of("empty", by.file(LAST, b""))
    yield of("an empty zip", by.file(LAST, by.packed({})))
    yield of("no data.pkl", by.file(LAST, by.packed({"archive/version": b"3\n"})))
    yield of("names that go up", by.file(LAST, by.packed({"../../thesis.txt": b"gone", "archive/data.pkl": b"."})))
    yield of("absolute names", by.file(LAST, absolute_names))
    yield of("a TorchScript program", torchscript)
    yield of("the same name twice", twice)
    yield of("overlapping", by.bytes_of(overlapping))
    yield of("a comment of 64 KiB", by.bytes_of(lambda content: content[:-2] + b"\xff\xff" + b"x" * 65535))
    yield of("something before it", by.bytes_of(lambda content: b"#!/bin/sh\ntouch canary\n" + content))
    for share in (0.01, 0.1, 0.5, 0.9, 0.99, 0.9999):
        yield of(f"cut at {share:.2%}", by.bytes_of(cut(share)))
    yield of("cut, in one's own run", by.both(by.bytes_of(lambda content: content[:5000]), by.owned), OWN)
    for seed in range(6):
        yield of(f"bytes flipped, {seed}", by.bytes_of(partial(flipped, seed=seed)))
    yield of("bytes flipped in the directory", by.bytes_of(lambda content: flipped(content, 0, last=2000)))
    yield of("enormous sizes in the directory", by.bytes_of(enormous_sizes))


def cut(share: float) -> Callable[[bytes], bytes]:
    return lambda content: content[: int(share * len(content))]


def inflating_to(parts: int) -> Spoil:
    def spoil(scene: Scene) -> None:
        path = by.freed(scene.run / LAST)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.writestr("archive/version", "3\n")
            with archive.open("archive/data.pkl", "w", force_zip64=True) as part:
                for _ in range(parts):
                    part.write(bytes(10_000_000))

    return spoil


def hole(name: str, size: int) -> Spoil:
    """Put a checkpoint there of which one part is a hole in the file: it takes memory, and no room on the disk."""

    def spoil(scene: Scene) -> None:
        state = b"\x80\x02}q\x00."
        if name.endswith("/0"):
            state = state_of_storage(size)
        with by.freed(scene.run / LAST).open("wb") as stream:
            with zipfile.ZipFile(stream, "w") as archive:
                for other, content in {"archive/data.pkl": state, "archive/version": b"3\n"}.items():
                    if other != name:
                        archive.writestr(other, content)
                archive.writestr(name, b"")
                info = archive.getinfo(name)
                stream.seek(archive.start_dir)
                stream.truncate(archive.start_dir + size)
                archive.start_dir += size
                info.file_size = info.compress_size = size
                info.CRC = crc_of_zeros(size)
            patch_local_header(stream.name, info)

    return spoil


def crc_of_zeros(size: int) -> int:
    block, crc = bytes(2**24), 0
    for _ in range(size // len(block)):
        crc = zlib.crc32(block, crc)
    return crc


def patch_local_header(path: str, info: zipfile.ZipInfo) -> None:
    with Path(path).open("r+b") as stream:
        stream.seek(info.header_offset + 14)
        stream.write(b"".join(number.to_bytes(4, "little") for number in (info.CRC, info.file_size, info.file_size)))


def state_of_storage(size: int) -> bytes:
    """Return the pickle of a checkpoint with one tensor of so many bytes."""
    number = size.to_bytes(6, "little")
    return (
        b"\x80\x02}(X\x0a\x00\x00\x00state_dict}X\x01\x00\x00\x00xctorch._utils\n_rebuild_tensor_v2\n("
        b"(X\x07\x00\x00\x00storagectorch\nByteStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu\x8a\x06" + number + b"tQ"
        b"K\x00\x8a\x06"
        + number
        + b"\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtRsX\x0b\x00\x00\x00global_stepK\x01u."
    )


def absolute_names(scene: Scene) -> bytes:
    return by.zipped({str(scene.home / "thesis.txt"): b"gone", "archive/data.pkl": b"\x80\x02}."})


def torchscript(scene: Scene) -> None:
    torch.jit.save(torch.jit.trace(torch.nn.Linear(1, 1), torch.zeros(1, 1)), scene.run / LAST)


def twice(scene: Scene) -> None:
    honest = zipfile.ZipFile(scene.run / LAST)
    entries = {name: honest.read(name) for name in honest.namelist()}
    with zipfile.ZipFile(by.freed(scene.run / LAST), "w") as archive, warnings.catch_warnings(action="ignore"):
        for name, content in entries.items():
            archive.writestr(name, content)
        data = next(name for name in entries if name.endswith("data.pkl"))
        archive.writestr(data, pickle.dumps(touch(scene), 2))


def overlapping(content: bytes) -> bytes:
    """Let every entry of the directory point at the first one's bytes."""
    at, first = content.find(b"PK\x01\x02"), None
    changed = bytearray(content)
    while at >= 0:
        first = changed[at + 42 : at + 46] if first is None else first
        changed[at + 42 : at + 46] = first
        at = content.find(b"PK\x01\x02", at + 1)
    return bytes(changed)


def enormous_sizes(content: bytes) -> bytes:
    at, changed = content.find(b"PK\x01\x02"), bytearray(content)
    while at >= 0:
        changed[at + 20 : at + 28] = b"\xf0\xff\xff\xff" * 2
        at = content.find(b"PK\x01\x02", at + 1)
    return bytes(changed)


def flipped(content: bytes, seed: int, last: int | None = None) -> bytes:
    draw, changed = random.Random(seed), bytearray(content)
    for _ in range(20):
        changed[draw.randrange(len(content) - last if last else 0, len(content))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def tensors() -> Iterator[Payload]:
    """Weights that are no plain numbers in memory, or far more than the file."""
    of = of_kind("tensors", LOAD)
    with warnings.catch_warnings(action="ignore"):  # torch has some on a few of these kinds
        unsound = unsound_weights()
    for name, value in unsound.items():
        after = (PREDICT,) if name in ("as large as can be", "of half precision", "of eight bits", "double") else ()
        yield of(name, by.weight(value), LOAD, *after)
    yield of("storages shared", by.checkpoint(shared_storages))
    yield of("weights of another run", by.file(LAST, lambda s: (s.material.folder / "other" / LAST).read_bytes()))
    yield of(
        "weights too many", by.checkpoint(lambda c: c["state_dict"].update({f"network.{n}": 0 for n in range(9999)}))
    )
    yield of("none", by.checkpoint(lambda content: content["state_dict"].clear()))
    for name, code in empty_arrays().items():
        yield of(name, by.opcodes(code))


def unsound_weights() -> dict[str, Any]:
    size = 10
    return {
        "strides of 0": torch.zeros(1).expand(size),
        "strides of 0, vast": torch.zeros(1).expand(2**40),
        "sparse": torch.zeros(size).to_sparse(),
        "sparse, vast": torch.sparse_coo_tensor(
            torch.tensor([[0]]), torch.tensor([1.0]), (2**50,), check_invariants=False
        ),
        "compressed sparse": torch.eye(size).to_sparse_csr(),
        "meta": torch.zeros(size, device="meta"),
        "meta, vast": torch.zeros(2**50, device="meta"),
        "quantized": torch.quantize_per_tensor(torch.zeros(size), 0.1, 0, torch.qint8),
        "complex": torch.zeros(size, dtype=torch.complex64),
        "conjugated": torch.zeros(size, dtype=torch.complex64).conj(),
        "NaN": torch.full((size,), torch.nan),
        "infinite": torch.full((size,), torch.inf),
        "as large as can be": torch.full((size,), 3e38),
        "whole": torch.zeros(size, dtype=torch.int64),
        "true and false": torch.zeros(size, dtype=torch.bool),
        "of half precision": torch.zeros(size, dtype=torch.float16),
        "of eight bits": torch.zeros(size, dtype=torch.float8_e5m2),
        "double": torch.zeros(size, dtype=torch.float64),
        "too many dimensions": torch.zeros([1] * 60 + [size]),
        "empty": torch.zeros(0),
        "one number": torch.tensor(0.0),
        "a number": 0.5,
        "a text": "x" * 10_000,
        "nothing": None,
        "a list": [0.0] * size,
        "a parameter": torch.nn.Parameter(torch.zeros(size)),
        "nested": torch.nested.nested_tensor([torch.zeros(3), torch.zeros(7)]),
    }


def shared_storages(content: dict[str, Any]) -> None:
    one = torch.zeros(10_000)
    for name, value in content["state_dict"].items():
        content["state_dict"][name] = one[: value.numel()].view(value.shape)


def binary(text: str) -> bytes:
    """Return the opcode for a text."""
    return b"X" + len(text).to_bytes(4, "little") + text.encode()


def empty_arrays() -> dict[str, bytes]:
    """Return pickles of a few bytes that ask for far more memory."""
    nine = b"\x8a\x05" + (2**33).to_bytes(5, "little")
    doubled = (
        b"c_codecs\nencode\n" * 28 + binary("x" * 16) + binary("utf-8") + b"\x86R" + (binary("hex") + b"\x86R") * 27
    )
    return {
        "bytes, empty": b"\x80\x02cbuiltins\nbytearray\n" + nine + b"\x85R.",
        "bytes, empty, as Python 2 calls them": b"\x80\x02c__builtin__\nbytearray\n" + nine + b"\x85R.",
        "bytes by a codec that doubles them": b"\x80\x02" + doubled + b".",
        "a storage, empty": b"\x80\x02ctorch.storage\nUntypedStorage\n" + nine + b"\x85R.",
        "a tensor, empty": b"\x80\x02ctorch\nFloatTensor\n" + nine + b"\x85R.",
        "a list of lists of lists": b"\x80\x02](" + b"(" * 100_000 + b"e" * 100_000 + b"e.",
        "a list in itself": b"\x80\x02]q\x00h\x00a.",
        "tuples 200,000 deep": b"\x80\x02)" + b"\x85" * 200_000 + b".",
        "counted": b"\x80\x02ccollections\nCounter\nX\x06\x00\x00\x00aaabbb\x85R.",
    }


def checkpoints() -> Iterator[Payload]:
    """Plain values, but not those of a checkpoint; and paths in it that Lightning would remove."""
    of = of_kind("checkpoints", LOAD)
    for key in ("state_dict", "global_step", "epoch", "callbacks", "loops", "optimizer_states"):
        yield of(f"without {key}", by.checkpoint(dropping(key)))
    wrong: dict[str, Any] = {
        "state_dict": [], "epoch": 10**30, "global_step": "x", "callbacks": "x", "pytorch-lightning_version": "x" * 9999
    }  # fmt: skip
    for key, value in wrong.items():
        yield of(f"{key} of another kind", by.checkpoint(putting(key, value)))
    for name, value in {"true": True, "negative": -5, "text": "1", "infinite": float("inf")}.items():
        yield of(f"epoch {name}", by.checkpoint(putting("epoch", value)))
    of_the_data: dict[str, tuple[str, Any]] = {
        "no classes": ("classes", []), "classes that are a text": ("classes", "0123456789"),
        "a million classes": ("classes", ["x"] * 10**6), "a class of escape sequences": ("classes", [ESCAPES] * 10),
        "a vast image": ("shape", [4096, 4096, 4096]), "a vast grey image": ("shape", [1, 4096, 4096]),
        "an image of no size": ("shape", [1, 0, 28]), "an image of texts": ("shape", ["x", "y", "z"]),
        "handwriting, by a text": ("is_handwriting", "no"),
    }  # fmt: skip
    for name, (key, value) in of_the_data.items():
        yield of(name, by.checkpoint(putting(key, value)))
    yield of("a list", by.checkpoint(lambda _: [1, 2]))
    yield of("keys that are no texts", by.checkpoint(lambda c: c["state_dict"].update({5: 1, (1, 2): 2, None: 3})))
    yield of("keys with escape sequences", by.checkpoint(lambda c: c["state_dict"].update({f"network.{ESCAPES}": 0})))
    for name, change in {
        "best_model_path outside": best_outside, "kth_best_model_path outside": kth_outside,
        "dirpath outside": dirpath_outside,
    }.items():  # fmt: skip
        yield of(f"{name}", by.checkpoint(change), LOAD, RESUME)
        yield of(f"{name}, in one's own run", by.both(by.checkpoint(change), by.owned), OWN)
    yield of(
        "the Recorder's epochs a text", by.checkpoint(lambda c: c["callbacks"].update(Recorder={"epochs": "x"})), RESUME
    )


def dropping(key: str) -> Callable[[dict[str, Any]], None]:
    return lambda content: by.void(content.pop(key))


def putting(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda content: content.update({key: value})


def callbacks_of(content: dict[str, Any]) -> list[dict[str, Any]]:
    return [state for name, state in content["callbacks"].items() if name.startswith("RunCheckpoint")]


def recorded(content: dict[str, Any]) -> None:
    content["callbacks"]["Recorder"] = {"epochs": "x", "fit_seconds": "x"}


def best_outside(content: dict[str, Any]) -> None:
    for state in callbacks_of(content):
        state |= {"dirpath": "X", "best_model_path": "X" + "/.." * 30 + "/tmp/thesis"}


def kth_outside(content: dict[str, Any]) -> None:
    for state in callbacks_of(content):
        state |= {
            "kth_best_model_path": "../../checkpoints/best.ckpt",
            "best_k_models": {"../../thesis": torch.tensor(0)},
        }


def dirpath_outside(content: dict[str, Any]) -> None:
    for state in callbacks_of(content):
        state |= {"dirpath": "../..", "last_model_path": "../../checkpoints/last.ckpt"}
