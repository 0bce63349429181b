"""One row of the matrix, tried by real processes in a checkout of its own."""

import json
import shlex
import shutil

from faults.lab import PLAIN, Facts, Lab

from matrix.rows import HYDRAS, Row
from mnist_lightning.trained import load_run


def problem(lab: Lab, row: Row) -> str | None:
    """Return what is not as the row expects it; None where all is."""
    for place in ("run", "again"):
        shutil.rmtree(lab.folder / place, ignore_errors=True)
    if row.package:
        (lab.folder / "conf" / row.group / "tried.yaml").write_text(row.file)
    if row.kind == HYDRAS:
        return answered(lab, row)
    words = [*PLAIN, *row.words]
    status, everything = lab.run(*words, "output_dir=run", moment=0)
    said, _, moments = everything.partition("moments:\n")
    if row.outcome == "refused":
        return refusal(lab, row, status, said)
    if status != 0 or "Traceback" in said:
        return f"status {status}: {said[-400:]}"
    if wrong := disagreement(lab):
        return wrong
    middle = len(moments.splitlines()) // 2
    if row.outcome == "trains":
        return None
    status, said = lab.run(*words, "output_dir=again", moment=middle)
    if status not in (137, -9):
        return f"it was to be killed at moment {middle}, and ended with status {status}: {said[-300:]}"
    again = ["resume=again"] if (lab.folder / "again" / "config.yaml").exists() else [*words, "output_dir=again"]
    status, said = lab.run(*again)
    if status != 0:
        return f"resumed: status {status}: {said[-400:]}"
    facts, others = Facts(lab.folder / "run"), Facts(lab.folder / "again")
    for one in (facts, others):  # killed at its first checkpoint, a short run has none before its last
        one.found["checkpoints"] = [name for name in one.found["checkpoints"] if name != "previous.ckpt"]
    return facts.differences(others)


def answered(lab: Lab, row: Row) -> str | None:
    """Try a line as it is, on the digits where it does not say what to do."""
    shutil.rmtree(lab.folder / "runs", ignore_errors=True)
    is_shown = row.settings.startswith("--")
    base = ["data=digits", *([] if "max_epochs" in row.settings else ["trainer.max_epochs=1"])]
    status, said = lab.run(*([] if is_shown else base), *shlex.split(row.settings))
    if row.outcome == "refused":
        return refusal(lab, row, status, said)
    is_right = status == 0 and "Traceback" not in said and row.said in said
    return None if is_right else f"status {status}: {said[-400:]}"


def refusal(lab: Lab, row: Row, status: int, said: str) -> str | None:
    said = said.strip()
    if status != 2 or "Traceback" in said or row.said not in said:
        return f"status {status}: {said[-400:]}"
    left = [place for place in ("run", "runs") if (lab.folder / place).exists()]
    lines = [line for line in said.splitlines() if line.startswith("train.py: ")]
    return f"left {left}" if left else None if len(lines) == 1 else f"no single message: {said[-400:]}"


def disagreement(lab: Lab) -> str | None:
    """Return in what results.json, the last checkpoint, TensorBoard's events and load_run disagree."""
    run = lab.folder / "run"
    results = json.loads((run / "results.json").read_text())
    facts = Facts(run)
    if results["status"] != "finished" or "last.ckpt" in facts.found:
        return f"{results['status']}; {facts.found.get('last.ckpt')}"
    if facts.found["litter"]:
        return f"left {facts.found['litter']}"
    logged = sorted((step, value) for tag, step, value in facts.found["points"] if tag == "test/accuracy")
    shown = [of["test_accuracy"] for of in results["epochs"]] + [of["accuracy"] for of in [results["test"]] if of]
    is_shown = any(of["test_accuracy"] is not None for of in results["epochs"])
    if logged and is_shown and not any(one is not None and abs(logged[-1][1] - one) < 1e-6 for one in shown):
        return f"TensorBoard has test/accuracy {logged[-1][1]} at last, results.json {shown}"
    if facts.found["checkpoints"]:
        trained = load_run(run)
        if sum(parameter.numel() for parameter in trained.network.parameters()) != results["parameters"]:
            return "load_run has another number of parameters"
    return None
