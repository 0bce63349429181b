"""Where a result comes from: the software, the call and the time."""

import os
import platform
import subprocess
import sys
import time
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "torchvision", "lightning", "torchmetrics", "hydra-core", "tensorboard", "numpy")


def process_seconds() -> float:
    """Return the age of this process in seconds, interpreter start and imports included."""
    try:  # field 22 of /proc/self/stat: start time in clock ticks after boot, see proc(5)
        started = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        return time.clock_gettime(time.CLOCK_BOOTTIME) - started / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError):
        return time.perf_counter()  # no /proc: since an arbitrary point, mostly the start of the process


def describe_process() -> dict[str, Any]:
    """Return what results.json says about the software and the call: versions, git, command, started."""
    return {
        "versions": {"python": platform.python_version()} | {package: version(package) for package in PACKAGES},
        "git": git_state(),
        "command": ["python", *sys.argv],
        "started": datetime.fromtimestamp(time.time() - process_seconds()).astimezone().isoformat(timespec="seconds"),
    }


def git_state() -> dict[str, Any] | None:
    """Return the commit of the project, and whether files differ from it; None outside a checkout."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        status = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return {"commit": commit, "dirty": bool(status)}
