"""Run what follows `python` on a command line, in a program that has started warm: see tests/warm.py.

python tests/as_python.py FOLDER LIMITS [-W ACTION] (SCRIPT | -m MODULE | -c CODE) …

It works in a folder, within limits of its resources: a JSON object, as for resource.setrlimit.
"""

import json
import os
import resource
import runpy
import sys
import warnings
from pathlib import Path
from types import ModuleType


def execute(words: list[str]) -> None:
    """Run a program as Python's main module."""
    sys.orig_argv = [sys.executable, *words]
    if words[0] == "-W":
        warnings.simplefilter(words[1])  # type: ignore[arg-type]
        words = words[2:]
    sys.argv[:] = words[1:] if words[0] == "-m" else words
    if words[0] == "-m":
        sys.path.insert(0, str(Path.cwd()))
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    elif words[0] == "-c":
        del sys.argv[1]
        sys.path.insert(0, "")
        main = sys.modules["__main__"] = ModuleType("__main__")
        exec(compile(words[1], "<string>", "exec"), vars(main))
    else:
        sys.path.insert(0, str(Path(words[0]).resolve().parent))
        runpy.run_path(words[0], run_name="__main__")


if __name__ == "__main__":
    folder, limits, *words = sys.argv[1:]
    del sys.path[0]  # this folder
    os.chdir(folder)
    for limit, values in json.loads(limits).items():
        resource.setrlimit(int(limit), tuple(values))
    execute(words)
