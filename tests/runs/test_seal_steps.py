"""The seal by hand: digests and HMAC by hashlib and hmac, files spoiled one at a time."""

import hashlib
import hmac
import json
import os
import re
from pathlib import Path

import pytest

from mnist_lightning.runs import seal
from mnist_lightning.runs.errors import UsageError
from mnist_lightning.runs.seal import KEY_VARIABLE, Seal


@pytest.fixture(autouse=True)
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(KEY_VARIABLE, str(tmp_path / "key"))
    (tmp_path / "key").write_bytes(b"k" * 32)
    return tmp_path / "key"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    return tmp_path / "run"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def content_of(directory: Path) -> dict[str, dict[str, list[str]]]:
    return json.loads((directory / "seal.json").read_text())


def test_the_seal_is_the_hmac_of_the_digests(directory: Path) -> None:
    Seal(directory).write(directory / "config.yaml", b"a: 1")
    files = {"config.yaml": [sha256(b"a: 1")]}
    right = hmac.new(b"k" * 32, json.dumps(files, sort_keys=True).encode(), "sha256").hexdigest()
    assert content_of(directory) == {"files": files, "hmac": right}
    assert (directory / "config.yaml").read_bytes() == b"a: 1"
    Seal(directory).write(directory / "a", b"1")
    ordered = {"a": [sha256(b"1")], **files}
    right = hmac.new(b"k" * 32, json.dumps(ordered).encode(), "sha256").hexdigest()
    for content in (ordered, dict(reversed(ordered.items()))):
        (directory / "seal.json").write_text(json.dumps({"files": content, "hmac": right}))
        assert Seal(directory).state("a") == "own", "in whatever order they stand there"


def test_the_seal_fits_the_old_file_and_the_new(directory: Path, tmp_path: Path) -> None:
    own, file = Seal(directory), directory / "config.yaml"
    for content in (b"1", b"2", b"3"):
        own.write(file, content)
    assert content_of(directory)["files"]["config.yaml"] == [sha256(b"3"), sha256(b"2")]
    Seal(directory).write(file, b"4")  # another process does not know which of the two is there
    assert content_of(directory)["files"]["config.yaml"] == [sha256(b"4"), sha256(b"3"), sha256(b"2")]
    own.write(tmp_path / "elsewhere", b"5")
    assert set(own.files) == {"config.yaml", str(tmp_path / "elsewhere")}


def test_whose_a_file_is(directory: Path, key: Path) -> None:
    own, file = Seal(directory), directory / "config.yaml"
    assert own.state("config.yaml") == "foreign"
    own.write(file, b"1")
    assert (own.state("config.yaml"), own.is_damaged("config.yaml")) == ("own", False)
    own.check("config.yaml", "RESUME")
    file.write_bytes(b"2")
    assert (own.state("config.yaml"), own.is_damaged("config.yaml")) == ("changed", True)
    with pytest.raises(UsageError, match=r"config\.yaml was changed since it was written\. .*: RESUME trust=true"):
        own.check("config.yaml", "RESUME")
    file.unlink()
    assert (own.state("config.yaml"), own.is_damaged("config.yaml")) == ("changed", False)
    (directory / "other").touch()
    assert (own.state("other"), own.is_damaged("other")) == ("changed", False), "it has no digest"
    file.write_bytes(b"1")
    for other in (b"x" * 32, b"k" * 31):
        key.write_bytes(other)
        assert (own.state("config.yaml"), own.is_damaged("config.yaml")) == ("foreign", False)
    with pytest.raises(UsageError, match=r"is somebody else's: .*seal\.json is missing.*no key can be kept in"):
        own.check("config.yaml", "RESUME")
    key.unlink()
    assert own.state("config.yaml") == "foreign"


def test_a_seal_that_was_edited_is_foreign(directory: Path) -> None:
    own = Seal(directory)
    own.write(directory / "config.yaml", b"1")
    whole = content_of(directory)
    (directory / "config.yaml").write_bytes(b"2")
    edited = {**whole, "files": {"config.yaml": [sha256(b"2")]}}
    for text in (json.dumps(edited), json.dumps({"files": whole["files"]}), json.dumps({"files": 3}), "{", "[]"):
        (directory / "seal.json").write_text(text)
        assert own.state("config.yaml") == "foreign"
    (directory / "seal.json").write_text(json.dumps({"files": {"a": "b"}}))
    assert own.files == {}


def test_the_checkpoint_before_is_kept_unless_it_is_damaged(directory: Path) -> None:
    own, last, before = Seal(directory), directory / "checkpoints/last.ckpt", directory / "checkpoints/previous.ckpt"
    own.write(last, b"1", before)
    assert not before.exists()
    own.write(last, b"2", before)
    assert (last.read_bytes(), before.read_bytes()) == (b"2", b"1")
    own.write(last, b"3", before)
    assert (last.read_bytes(), before.read_bytes()) == (b"3", b"2")
    assert content_of(directory)["files"]["checkpoints/previous.ckpt"] == [sha256(b"2"), sha256(b"1")]
    own.write(last, b"4", before)
    assert content_of(directory)["files"]["checkpoints/previous.ckpt"] == [sha256(b"3"), sha256(b"2")]
    last.write_bytes(b"damaged")
    own.write(last, b"5", before)
    assert (last.read_bytes(), before.read_bytes()) == (b"5", b"3")
    assert content_of(directory)["files"]["checkpoints/previous.ckpt"] == [sha256(b"3"), sha256(b"2")], "as it was"
    assert (own.state("checkpoints/last.ckpt"), own.state("checkpoints/previous.ckpt")) == ("own", "own")


def test_what_is_read_back_is_to_be_what_was_written(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = Seal(directory)
    own.write(directory / "config.yaml", b"1")
    monkeypatch.setattr(seal, "digest_of", lambda path: sha256(b"bad disk"))
    with pytest.raises(OSError, match="what is read back is not what was written") as error:
        own.write(directory / "config.yaml", b"2")
    assert error.value.errno == 5 and (directory / "config.yaml").read_bytes() == b"1"


def test_whole_checkpoints_come_latest_first(directory: Path) -> None:
    own, folder = Seal(directory), directory / "checkpoints"
    for age, name in enumerate(("best.ckpt", "last.ckpt", "bad.ckpt", "gone.ckpt")):
        own.write(folder / name, name.encode())
        os.utime(folder / name, ns=(0, 10**9 * (5 - age)))
    own.write(directory / "config.yaml", b"")
    (folder / "bad.ckpt").write_bytes(b"x")
    (folder / "gone.ckpt").unlink()
    (folder / "unsealed.ckpt").touch()
    assert own.checkpoints() == [folder / "best.ckpt", folder / "last.ckpt"]


def test_of_a_strangers_seal_only_the_directorys_own_checkpoints_count(
    directory: Path, tmp_path: Path, key: Path
) -> None:
    own, among, elsewhere = Seal(directory), directory / "checkpoints" / "a.ckpt", tmp_path / "elsewhere.ckpt"
    for path, age in ((among, 2), (elsewhere, 1)):
        own.write(path, b"1")
        os.utime(path, ns=(0, 10**9 * (5 - age)))
    (directory / "checkpoints" / "unsealed.ckpt").touch()
    assert own.checkpoints() == [elsewhere, among]
    key.write_bytes(b"x" * 32)
    assert own.checkpoints() == [among]


def test_what_stands_there_is_taken_as_ones_own(directory: Path, key: Path) -> None:
    for name in ("config.yaml", "checkpoints/a.ckpt", "results.json", "checkpoints/notes.txt"):
        (directory / name).write_bytes(name.encode())
    Seal(directory).write(directory / "further", b"1")
    (directory / "further").write_bytes(b"2")
    key.write_bytes(b"n" * 40)
    Seal(directory).renew()
    expected = {"further": b"2", "config.yaml": b"config.yaml", "checkpoints/a.ckpt": b"checkpoints/a.ckpt"}
    assert Seal(directory).files == {name: [sha256(content)] for name, content in expected.items()}
    assert Seal(directory).state("further") == "own"
    (directory / "sweep.json").touch()
    (directory / "further").unlink()
    Seal(directory).renew()
    assert set(Seal(directory).files) == {"config.yaml", "sweep.json", "checkpoints/a.ckpt"}


def test_names_are_relative_within_the_directory(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(directory)
    assert Seal(Path()).name_of(directory / "checkpoints" / ".." / "a") == "a"
    assert Seal(directory).name_of(Path("checkpoints/b")) == "checkpoints/b"
    assert Seal(directory / "checkpoints").name_of(Path("a")) == str(directory / "a")


def test_where_the_key_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, key: Path) -> None:
    assert seal.key_file() == key
    monkeypatch.delenv(KEY_VARIABLE)
    monkeypatch.setenv("HOME", "/home/somebody")
    default = "/home/somebody/.local/share"
    for home, expected in ((None, default), ("relative", default), ("/x", "/x")):
        monkeypatch.setenv("XDG_DATA_HOME", home) if home else monkeypatch.delenv("XDG_DATA_HOME", raising=False)
        assert seal.key_file() == Path(expected, "mnist-lightning/key")


def test_a_key_is_made_once_and_whole(tmp_path: Path, key: Path) -> None:
    assert (seal.own_key(), seal.own_key(may_make=True), seal.problem_with_key()) == (b"k" * 32, b"k" * 32, None)
    seal.make_key(key)
    assert key.read_bytes() == b"k" * 32, "another process was faster"
    key.write_bytes(b"k" * 1025)
    assert seal.own_key() is None
    key.unlink()
    assert seal.problem_with_key() is None and len(key.read_bytes()) == 32, "one is made where there is none"
    key.unlink()
    assert seal.own_key() is None and not key.exists()
    made = seal.own_key(may_make=True)
    assert made == key.read_bytes() and len(made) == 32
    key.unlink()
    Seal(tmp_path).write(tmp_path / "file", b"1")
    assert Seal(tmp_path).state("file") == "own"
    seal.make_key(tmp_path / "new" / "deep" / "key")
    assert (tmp_path / "new" / "deep").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "new" / "deep" / "key").stat().st_mode & 0o777 == 0o600
    assert [file.name for file in (tmp_path / "new" / "deep").iterdir()] == ["key"]


def test_why_no_key_can_be_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(KEY_VARIABLE, str(tmp_path / "file" / "key"))
    assert re.match(rf"no key can be kept in {tmp_path}/file/key: {KEY_VARIABLE}=FILE", str(seal.problem_with_key()))

    def no_home() -> Path:
        raise RuntimeError

    monkeypatch.setattr(seal, "key_file", no_home)
    assert seal.own_key(may_make=True) is None
    assert str(seal.problem_with_key()).startswith("there is no home directory to keep a key in")
