"""Payloads in the other files of a run or a sweep: what they say and are, what they are called, who sealed them."""

import os
import pickle
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from attacks import spoiling as by
from attacks.commands import (
    COMPARE,
    COMPARE_ALL,
    COMPARE_SWEEP,
    ESCAPES,
    EVALUATE,
    EVALUATE_BEST,
    EXPORT,
    LOAD,
    OWN,
    OWN_SWEEP,
    PREDICT,
    RESUME,
    RESUME_SWEEP,
    SWEEP_DIR,
    Command,
    Expected,
    Payload,
    Problem,
    goes_on,
    of_kind,
)  # fmt: skip
from attacks.scene import JOBS, KEY, PROJECT, Scene, seal
from attacks.spoiling import LAST, Spoil

FILES = ("config.yaml", "results.json", "train.log", LAST, "seal.json", ".lock", "figures", "checkpoints")
SWEEP_FILES = ("sweep.json", "seal.json", "study.journal", ".lock", JOBS[0])
ACCURACY = {"accuracy": 0.5, "errors": 1, "total": 2, "loss": 1.0}


def results() -> Iterator[Payload]:
    """A results.json that is none, or says what no run would."""
    of = of_kind("results", COMPARE, RESUME)
    for name, content in {
        "empty": "", "a list": "[1, 2]", "100,000 brackets": "[" * 100_000, "100,000 braces": '{"a":' * 100_000,
        "900 brackets": '{"status": "finished", "x": ' + "[" * 900 + "]" * 900 + "}", "nothing of a run": "{}",
        "twenty megabytes": '{"status": "' + "x" * 20_000_000 + '"}', "a number of 5,000 digits": "9" * 5_000,
        "a number of 5,000 digits within": '{"status": "finished", "seed": ' + "9" * 5_000 + "}",
    }.items():  # fmt: skip
        yield of(name, by.results_text(content))
    yield of("not UTF-8", by.results_text(b'{"status": "\xff"}'))
    wrong: dict[str, dict[str, Any]] = {
        "the status a list": {"status": []}, "the status with escape sequences": {"status": ESCAPES},
        "the epochs a text": {"epochs": "x"},
        "an epoch a text": {"epochs": ["x"]}, "epochs without numbers": {"epochs": [{}]},
        "an epoch of 10 to the 300": {"epochs": [{"epoch": 10**300}]}, "the name a list": {"name": [1]},
        "the name a path": {"name": "../../../thesis"}, "the name with escape sequences": {"name": ESCAPES},
        "the seed a list": {"seed": [1]}, "the seed settings": {"seed": {"a": 1}}, "the start a number": {"started": 5},
        "the error with escape sequences": {"status": "failed", "error": ESCAPES},
        "the error settings": {"status": "failed", "error": {"a": 1}}, "the time a text": {"total_seconds": "x"},
        "the time nothing": {"total_seconds": None}, "the time infinite": {"total_seconds": float("inf")},
        "the time 10 to the 400": {"total_seconds": 10**400}, "the test a text": {"test": "x"},
        "the test a list": {"test": [1]},
        "the accuracy a text": {"test": {"accuracy": "x"}}, "no accuracy": {"test": {"x": 1}},
        "the accuracy NaN": {"val": None, "test": ACCURACY | {"accuracy": float("nan")}},
        "the accuracy infinite": {"val": None, "test": ACCURACY | {"accuracy": float("inf")}},
        "the accuracy 10 to the 400": {"val": None, "test": ACCURACY | {"accuracy": 10**400}},
        "the accuracy true": {"val": None, "test": ACCURACY | {"accuracy": True}},
        "the sizes texts": {"parameters": "x", "train_size": [], "devices": 10**30},
    }  # fmt: skip
    for name, changes in wrong.items():
        yield of(name, by.results(**changes))
    yield of("two that do not compare", two_that_differ, COMPARE_ALL)
    yield of("the log with escape sequences", by.both(failed, by.file("train.log", ESCAPES.encode())), COMPARE)
    yield of("the log not UTF-8", by.both(failed, by.file("train.log", b"\xff\xfe\x1b[2J" * 99)), COMPARE)
    yield of("the log a pipe", by.both(failed, by.pipe("train.log")), COMPARE)
    yield of("the log zeros without end", by.both(failed, by.link("train.log", "/dev/zero")), COMPARE)
    yield of("the log a hole", by.both(failed, by.sparse("train.log", 3 * 2**30)), COMPARE)
    ones_own: dict[str, dict[str, Any]] = {
        "epochs that are none": {"epochs": [{"epoch": 1}]}, "a name with escape sequences": {"name": ESCAPES},
        "no seed": {"seed": "x"}, "the time a text": {"total_seconds": "x"}, "sizes": {"git": "x", "versions": 5},
    }  # fmt: skip
    for name, changes in ones_own.items():
        yield of(f"in one's own run, {name}", by.both(by.results(**changes), by.owned), OWN)


failed = by.results(status="failed", error="x")


def two_that_differ(scene: Scene) -> None:
    """Let runs of one experiment have seeds, times and names of other kinds."""
    val = {"val": None}
    by.results("results.json", started=5, seed=[1], **val)(scene)
    by.results(f"../sweep/{JOBS[0]}/results.json", started="2020", seed={"a": 1}, **val)(scene)
    by.freed(scene.sweep / "sweep.json")


def sweeps() -> Iterator[Payload]:
    """A sweep.json that says what no sweep would: a resume types its words again."""
    of = of_kind("sweeps", RESUME_SWEEP, COMPARE_SWEEP)
    for name, content in {
        "empty": "", "a list": "[]", "100,000 brackets": "[" * 100_000, "nothing": "{}",
        "twenty megabytes": "1" * 20_000_000,
        "no words": '{"command": 5, "jobs": []}', "no jobs": '{"command": ["train.py"], "jobs": 5}',
    }.items():  # fmt: skip
        yield of(name, by.sweep_text(content))
    yield of("a hook of Hydra's by a package", hook_by_package, RESUME_SWEEP, SWEEP_DIR)
    by_folder = by.command("--config-dir={work}/runs/sweep", "model=evil")
    yield of("a hook of Hydra's by a folder of its own", by.both(own_conf, by_folder), RESUME_SWEEP)
    for words in words_that_harm():
        yield of(" ".join(words)[:60], by.command(*words), RESUME_SWEEP)
    for directory in (
        "..",
        "../evil",
        "../../thesis",
        "{home}/thesis",
        "0_x/../../evil",
        "",
        "1_\x1b[2J",
        "1_\n2",
        "1_" + "x" * 300,
    ):
        yield of(f"a job in {ascii(directory)[:20]}", by.job(directory))
    for name, overrides in {
        "a text": "seed=1", "a number": 5, "lists": [["seed=1"]], "a hook": ["hydra.hydra_logging.root=x"],
        "another folder": ["output_dir={home}/thesis", "seed=1"], "escape sequences": [f"seed={ESCAPES}"],
    }.items():  # fmt: skip
        yield of(f"a job's overrides {name}", by.job(overrides=overrides))
    yield of("10,000 jobs", ten_thousand_jobs)
    yield of("a study of texts", by.both(journal(b"x\n" * 99), search), RESUME_SWEEP)
    yield of("a study of brackets", by.both(journal(b"[" * 100_000), search), RESUME_SWEEP)
    foreign_job = by.both(strangers_job, by.owned_sweep, strangers_seal)
    yield of("one's own, a stranger's run as its job", foreign_job, OWN_SWEEP)
    yield of("one's own, a link as its job", by.both(by.owned_sweep, job_by_link), OWN_SWEEP)
    yield of("one's own, edited", by.both(by.command("name=x"), by.owned_sweep), RESUME_SWEEP)


def words_that_harm() -> list[list[str]]:
    return [
        ["callbacks.figures.directory={home}/figures"], ["callbacks.last_checkpoint.dirpath={home}/checkpoints"],
        ["logger=tensorboard", "logger.directory={home}/thesis"], ["output_dir={home}/thesis"],
        ["hydra.run.dir={home}/thesis"], ["hydra.output_subdir=x"], ["hydra.job.chdir=true", "hydra.sweep.subdir=x"],
        ["hydra.launcher._target_=os.system"], ["+hydra.launcher.command='touch {canary}'"], ["hydra/launcher=joblib"],
        ["hydra.sweeper._target_=torch.utils.collect_env.run", "+hydra.sweeper.command='touch {canary}'"],
        ["+hydra.callbacks.x={_target_:torch.utils.collect_env.run,command:'touch {canary}'}"],
        ["hydra.searchpath=[file://{work}/runs/sweep]", "+model=evil"], ["--config-path={work}/runs/sweep"],
        ["--config-name=../../thesis"], ["--experimental-rerun={work}/runs/sweep/x"], ["--info"],
        ["--shell-completion"],
        ["seed=range(10000000)"], ["seed=0,1,2", "data.batch_size=range(1,100000)"], ["name='${oc.env:HOME}'"],
        ["model=../../runs/sweep/evil"], ["+data@hydra.job_logging=../../thesis"], ["model=" + "[" * 5000],
        [f"name={ESCAPES}"], ["trust=true"],
    ]  # fmt: skip


def own_conf(scene: Scene) -> None:
    (scene.sweep / "model").mkdir()
    evil = f"_target_: torch.utils.collect_env.run\ncommand: touch {scene.canary}\n"
    (scene.sweep / "model" / "evil.yaml").write_text(evil)


def hook_by_package(scene: Scene) -> None:
    """Let Hydra set up its logging by a file of the sweep, whose handler is a call."""
    call = f"{{'()': torch.utils.collect_env.run, command: touch {scene.canary}}}"
    (scene.sweep / "evil.yaml").write_text(f"version: 1\nroot: {{handlers: [x]}}\nhandlers: {{x: {call}}}\n")
    place = os.path.relpath(scene.sweep / "evil", PROJECT / "conf" / "data")
    by.command(f"+data@hydra.hydra_logging={place}")(scene)


def ten_thousand_jobs(scene: Scene) -> None:
    jobs = [{"directory": f"{n}_seed={n}", "overrides": [f"seed={n}"], "pruned": False} for n in range(10_000)]
    by.sweep(jobs=jobs)(scene)


search = by.command("sweep=search", "hydra.sweeper.trials=1", "data.val_size=100")


def journal(content: bytes) -> Spoil:
    return by.file("../sweep/study.journal", content)


def strangers_job(scene: Scene) -> None:
    by.setting("callbacks.figures.directory", "{home}/figures")(scene)
    shutil.copytree(scene.run, by.freed(scene.sweep / JOBS[1]))
    by.results(f"../sweep/{JOBS[1]}/results.json", status="interrupted")(scene)


def strangers_seal(scene: Scene) -> None:
    seal(scene.sweep / JOBS[1], scene.material.strangers_key)


def job_by_link(scene: Scene) -> None:
    by.freed(scene.sweep / JOBS[1]).symlink_to(scene.home / "thesis")


def links() -> Iterator[Payload]:
    """Files and folders of a run or a sweep that are links out of it, into it, or to themselves."""
    of = of_kind("links", EVALUATE, COMPARE)
    for name in FILES:
        if name != ".lock":
            yield of(f"{name} elsewhere", by.moved_out(name), EVALUATE, RESUME)
        yield of(f"{name} in itself", by.link(name, Path(name).name), EVALUATE, RESUME)
    yield of(".lock to the thesis", by.both(running, by.link(".lock", "{home}/thesis.txt")), COMPARE, RESUME)
    yield of(".lock to a file to be", by.both(running, by.link(".lock", "{home}/new.txt")), COMPARE, RESUME)
    yield of("figures to the home's", by.link("figures", "{home}/figures"), EVALUATE)
    yield of("a figure to the home's", by.link("figures/reliability.png", "{home}/thesis.txt"), EVALUATE)
    yield of("another checkpoint's figures", by.link("figures/best", "{home}/figures"), EVALUATE_BEST)
    yield of("figures under the names to come", names_to_come, EVALUATE)
    yield of("export to the home's", by.link("export", "{home}/thesis"), EXPORT)
    yield of("an export to the home's", by.link("export/model.onnx", "{home}/thesis.txt"), EXPORT)
    yield of("results.json to the thesis", by.link("results.json", "{home}/thesis.txt"), COMPARE, RESUME)
    yield of("config.yaml to the key", by.link("config.yaml", f"{{home}}/{KEY}"), LOAD, COMPARE)
    yield of("train.log to the thesis", by.both(failed, by.link("train.log", "{home}/thesis.txt")), COMPARE)
    yield of("a folder in itself", by.link("checkpoints/loop", ".."), COMPARE, EVALUATE)
    for name in SWEEP_FILES:
        to_thesis = by.link(f"../sweep/{name}", "{home}/thesis.txt")
        yield of(f"the sweep's {name} elsewhere", to_thesis, RESUME_SWEEP, COMPARE_SWEEP)
    yield of("the sweep's figures", by.link("../sweep/figures", "{home}/figures"), COMPARE_SWEEP)
    yield of("the sweep's table", by.link("../sweep/leaderboard.csv", "{home}/thesis.txt"), COMPARE_SWEEP)
    yield of(
        "one's own sweep's table",
        by.both(by.link("../sweep/leaderboard.csv", "{home}/thesis.txt"), by.owned_sweep),
        COMPARE_SWEEP,
    )
    yield of(
        "one's own sweep's figures",
        by.both(by.link("../sweep/figures", "{home}/figures"), by.owned_sweep),
        COMPARE_SWEEP,
    )
    yield of("one's own results.json", by.both(by.link("results.json", "{home}/thesis.txt"), by.owned), OWN)
    yield of("one's own log", by.both(by.link("train.log", "{home}/thesis.txt"), by.owned), RESUME_LINKED)
    yield of("one's own lock", by.both(by.link(".lock", "{home}/thesis.txt"), by.owned), OWN)


running = by.results(status="running")
RESUME_LINKED = goes_on("resume={run}", expected=Expected.LOOK)  # it has its epochs: nothing is to be written


def names_to_come(scene: Scene) -> None:
    """Make links of the names under which a figure is written before it is renamed: they hold the process's number."""
    latest = subprocess.Popen(["true"])
    latest.wait()
    for number in range(latest.pid, latest.pid + 3000):
        (scene.run / "figures" / f".reliability.png.{number}").symlink_to(scene.home / "thesis.txt")


def pipes() -> Iterator[Payload]:
    """Pipes, devices and folders in the place of files: who waits for them waits for ever."""
    of = of_kind("pipes", COMPARE, RESUME)
    for name in ("config.yaml", "results.json", "train.log", LAST, "seal.json", ".lock"):
        look = LOAD if name in ("config.yaml", LAST, "seal.json") else COMPARE
        yield of(f"{name} a pipe", by.both(running, by.pipe(name)), look, RESUME)
        yield of(f"{name} zeros without end", by.both(running, by.link(name, "/dev/zero")), look, RESUME)
        yield of(f"{name} a folder", by.both(running, by.folder(name)), look, RESUME)
    yield of("config.yaml a pipe, compared", by.pipe("config.yaml"), COMPARE)
    yield of("config.yaml zeros, compared", by.link("config.yaml", "/dev/zero"), COMPARE)
    yield of("config.yaml a folder, compared", by.folder("config.yaml"), COMPARE)
    yield of("config.yaml the terminal", by.link("config.yaml", "/dev/tty"), LOAD, COMPARE)
    yield of("figures a pipe", by.pipe("figures"), EVALUATE)
    yield of("export a file", by.file("export", b""), EXPORT)
    for name in ("sweep.json", "seal.json"):
        yield of(f"the sweep's {name} a pipe", by.pipe(f"../sweep/{name}"), RESUME_SWEEP, SWEEP_DIR, COMPARE_ALL)
        yield of(f"the sweep's {name} zeros", by.link(f"../sweep/{name}", "/dev/zero"), RESUME_SWEEP, COMPARE_ALL)
    yield of("the sweep's lock a pipe", by.pipe("../sweep/.lock"), RESUME_SWEEP)
    yield of("the sweep's study a pipe", by.pipe("../sweep/study.journal"), RESUME_SWEEP)
    yield of("one's own sweep's lock a pipe", by.both(by.pipe("../sweep/.lock"), by.owned_sweep), OWN_SWEEP)
    yield of("one's own last.ckpt a pipe", by.both(by.pipe(LAST), by.owned), OWN)
    yield of("one's own results.json a pipe", by.both(by.pipe("results.json"), by.owned), OWN)


NAMES = {
    "escape sequences": ESCAPES,
    "a line break": "two\nlines",
    "quotes": "a 'b' \"c\"",
    "Hydra's marks": "a=1,b=2",
    "a variable": "${oc.env:HOME}",
    "half a variable": "${",
    "a command": "$(touch canary);touch canary",
    "a dash": "-m",
    "a format": "%s{0}",
    "marks of style": "[red]x[bold]",
    "a great length": "x" * 250,
    "half characters": "\udcff\udcfe",
    "a backslash": "ends\\",
}


def names() -> Iterator[Payload]:
    """What a run, a sweep or a job is called: it is printed, typed again, and put into quotes."""
    of = of_kind("names", PREDICT, RESUME)
    for name, value in NAMES.items():
        yield of(f"a run with {name}", by.renamed(value))
        yield of(f"a sweep with {name}", by.renamed(value, is_sweep=True), RESUME_SWEEP, COMPARE_SWEEP)
    yield of("a file among its checkpoints", by.file(f"checkpoints/{ESCAPES}.ckpt", b"x"), COMPARE, EVALUATE)
    yield of("a job", by.both(by.removed("../sweep/sweep.json"), job_called(ESCAPES)), COMPARE_SWEEP)


def job_called(name: str) -> Spoil:
    return lambda scene: by.void((scene.sweep / JOBS[0]).rename(scene.sweep / name))


def seals() -> Iterator[Payload]:
    """A seal that is missing, forged, taken from elsewhere, or none; and files that are not those it was made for."""
    of = of_kind("seals", RESUME, LOAD)
    yield of("of another key", by.nothing, RESUME, PREDICT)
    yield of("missing", by.removed("seal.json"))
    for name, hmac in {
        "zeros": "0" * 64,
        "nothing": None,
        "empty": "",
        "a list": [1],
        "true": True,
        "not ASCII": "ä" * 64,
    }.items():
        yield of(f"hmac {name}", by.forged(hmac))
    for name, content in {
        "a list": b"[]", "empty": b"", "brackets": b"[" * 100_000, "twenty megabytes": b" " * 20_000_000,
        "files a list": b'{"files": [], "hmac": "0"}', "digests texts": b'{"files": {"config.yaml": "0"}, "hmac": "0"}',
        "digests deep": b'{"files": {"config.yaml": [' + b"[" * 900 + b"]" * 900 + b']}, "hmac": "0"}',
        "not UTF-8": b'{"files": {"\xff": []}, "hmac": "0"}', "hmac for nothing": b'{"files": {}, "hmac": null}',
    }.items():  # fmt: skip
        yield of(name, by.file("seal.json", content))
    yield of("a pipe", by.pipe("seal.json"))
    yield of("zeros without end", by.link("seal.json", "/dev/zero"))
    yield of("of one's own other run", by.file("seal.json", others("seal.json")))
    yield of("a link to that of one's own run", linked_seal)
    yield of("of one's own run, this configuration edited", by.both(edited, by.owned))
    yield of("of one's own run, one more setting", by.both(by.config_line("x: 1"), by.owned))
    yield of("of one's own run, one key twice", by.both(by.config_line("seed: 7"), by.owned))
    yield of("of one's own sweep", lambda s: seal(s.run, s.material.key, ["results.json"]))
    other = by.file(LAST, others(LAST))
    yield of("of one's own run, another's last.ckpt", by.both(other, by.owned), OWN)
    both = by.both(other, by.file("checkpoints/best.ckpt", b"x"), by.owned)
    yield of("of one's own run, no checkpoint of its own", both, REFUSED_AS_DAMAGED)
    yield of("of one's own run, last.ckpt a link", by.both(by.moved_out(LAST), by.owned), OWN)
    yield of("of one's own run, a checkpoint more", by.both(by.file("checkpoints/z.ckpt", b"x"), by.owned), OWN)
    yield of("the sweep's of another key", by.nothing, RESUME_SWEEP, SWEEP_DIR)
    yield of("the sweep's missing", by.removed("../sweep/seal.json"), RESUME_SWEEP, SWEEP_DIR)
    yield of("the sweep's for another sweep", by.both(by.owned_sweep, by.command("name=x")), RESUME_SWEEP, SWEEP_DIR)
    yield of("the sweep's from a run", by.file("../sweep/seal.json", others("seal.json")), RESUME_SWEEP)
    yield of("a key that is a pipe", key_as_pipe, RESUME, LOAD)


edited = by.text_in("config.yaml", "${output_dir}/figures", "{home}/figures")
REFUSED_AS_DAMAGED = Command(RESUME.words, Expected.LOOK)


def others(name: str) -> Callable[[Scene], bytes]:
    """Return a file of one's own other run."""
    return lambda scene: (scene.material.folder / "other" / name).read_bytes()


def linked_seal(scene: Scene) -> None:
    by.link("seal.json", f"{scene.material.folder}/other/seal.json")(scene)


def key_as_pipe(scene: Scene) -> None:
    os.mkfifo(by.freed(scene.home / KEY))


def controls() -> Iterator[Payload]:
    """Honest runs, which must not be refused; and programs that do harm, which must be noticed."""
    done = Expected.SUCCESS
    of = of_kind("controls")
    looks = [Command(one.words, done) for one in (LOAD, EVALUATE, PREDICT, COMPARE)]
    yield of("a stranger's run is looked at", by.nothing, *looks, Command(EVALUATE_BEST.words, done))
    yield of("a stranger's run is exported", by.nothing, Command(EXPORT.words, done))
    yield of("a stranger's sweep is looked at", by.nothing, Command(COMPARE_SWEEP.words, done))
    yield of("one's own run goes on", by.owned, goes_on("resume={run}", "trainer.max_epochs=2", expected=done))
    sweep_goes_on = goes_on("resume={sweep}", expected=done)
    yield of("one's own sweep goes on", by.owned_sweep, sweep_goes_on, Command(COMPARE_SWEEP.words, done))
    trusted = goes_on("resume={run}", "trainer.max_epochs=2", "trust=true", expected=done)
    yield of("a trusted run goes on", by.nothing, trusted)
    for kind, problem in {
        "os.system": Problem.EXECUTED, "a connection": Problem.CONNECTED, "rmtree": Problem.TOUCHED,
        "open": Problem.TOUCHED,
    }.items():  # fmt: skip
        yield of(f"{kind} is noticed", evil_pickle(kind), hostile(UNPICKLE, problem))
    for name, (code, problem) in {
        "a loop": ("while True: pass", Problem.SLOW),
        "memory": ("x = b'x' * 3 * 2**30", Problem.LARGE),
        "a child's memory": (MEMORY_OF_A_CHILD, Problem.LARGE),
        "a traceback": ("1 / 0", Problem.TRACEBACK),
        "a file more": ("open('new', 'w')", Problem.TOUCHED),
        "a file changed back": (CHANGED_BACK, Problem.TOUCHED),
        "escape sequences": ("print('\\x1b[2J')", Problem.MESSAGE),
        "a status": ("import os; os._exit(7)", Problem.STATUS),
    }.items():
        yield of(f"{name} is noticed", by.nothing, hostile(code, problem))


UNPICKLE = "import pickle; pickle.load(open('runs/evil/evil.pickle', 'rb'))"
CHANGED_BACK = "from pathlib import Path; one = Path('thesis.txt'); one.write_bytes(one.read_bytes())"
MEMORY_OF_A_CHILD = "import subprocess, sys; subprocess.run([sys.executable, '-c', \"b'x' * 3 * 2**30\"])"


def hostile(code: str, alarm: Problem) -> Command:
    return Command(("-c", code), Expected.ALARM, limit=5, alarm=alarm)


def evil_pickle(kind: str) -> Spoil:
    return by.file("evil.pickle", lambda scene: pickle.dumps(by.call(scene, kind)))
