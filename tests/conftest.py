"""What the tests share: the project's folder, MNIST where this machine has it, real processes, a real browser."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import warm
import yaml
from numpy.typing import NDArray

from mnist_lightning.datasets import mnist

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

    from mnist_lightning.trained import TrainedRun

PROJECT = Path(__file__).parent.parent
SCREENSHOTS = PROJECT / "build" / "screenshots"
QUIET = (  # no test needs a network, and the browser is to ask for nothing by itself
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
Program = Callable[..., "subprocess.CompletedProcess[str]"]


def mnist_folder() -> Path | None:
    """Return the first place of conf/data/mnist.yaml that holds MNIST."""
    settings = yaml.safe_load((PROJECT / "conf" / "data" / "mnist.yaml").read_text())
    places = str(PROJECT / settings["root"]), [str(PROJECT / place) for place in settings["search"]]
    folder, _ = mnist.MNIST(*places).find()
    return folder


@pytest.fixture(scope="session", autouse=True)
def own_key(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The tests' runs are sealed with a key of their own."""
    os.environ["MNIST_LIGHTNING_KEY"] = str(tmp_path_factory.getbasetemp() / "key")


@pytest.fixture(scope="session")
def mnist_root() -> Path:
    """The folder that holds MNIST/raw; tests that need it are skipped where there is none."""
    folder = mnist_folder()
    if folder is None:
        pytest.skip("MNIST is in none of the places of conf/data/mnist.yaml: data.root, data.search")
    return folder.parent.parent


def environment(**further: str) -> dict[str, str]:
    """Return the environment of a program under test: warnings of our own code are errors there too."""
    return os.environ | {"PYTHONPATH": str(PROJECT), "COLUMNS": "120"} | further


def processes_in(folder: Path) -> dict[str, int]:
    """Return the processes that work in `folder`, by the names that top shows."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (place / "cwd").readlink() == folder:
                found[(place / "comm").read_text().rstrip()] = int(place.name)
    return found


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """Run a Python program of the project to its end, in a folder of its own: tests/warm.py, or cold as it is typed."""

    def run(*command: str, is_cold: bool = False, **options: Any) -> "subprocess.CompletedProcess[str]":
        if command[0].endswith(".py"):
            command = (str(PROJECT / command[0]), *command[1:])
        if not is_cold and command[0] != "-X":
            return warm.run(command, cwd=tmp_path, env=environment(), **options)
        return subprocess.run(
            [sys.executable, *command], capture_output=True, text=True, timeout=250, cwd=tmp_path, env=environment(),
            **options,
        )  # fmt: skip

    return run


@pytest.fixture(scope="session")
def chromium() -> tuple[str, str]:
    """The paths of the browser and of its driver, which is named so that Selenium looks for none to download."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not program or not driver:
        pytest.skip("chromium and chromedriver are not both installed")
    return program, driver


@pytest.fixture
def browser(chromium: tuple[str, str], tmp_path: Path) -> "Iterator[Chrome]":
    """A Chromium with a profile of its own, in a window of 1280×900."""
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    program, driver = chromium
    options = ChromeOptions()
    options.binary_location = program
    for argument in (*QUIET, f"--user-data-dir={tmp_path}/profile", "--window-size=1280,900"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    window = Chrome(options, Service(driver))
    try:
        yield window
    finally:
        window.quit()


def until(browser: "Chrome", is_so: Callable[[], bool]) -> None:
    from selenium.webdriver.support.wait import WebDriverWait

    WebDriverWait(browser, 20, poll_frequency=0.05).until(lambda _: is_so())


def keep(browser: "Chrome", name: str) -> None:
    """Write what the window shows to build/screenshots/NAME.png."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    browser.execute_script("document.getAnimations().forEach(animation => animation.finish())")
    browser.save_screenshot(str(SCREENSHOTS / f"{name}.png"))


def ring(size: int, radius: float, centre: tuple[float, float], ink: int, paper: int) -> NDArray[np.uint8]:
    """Draw a zero."""
    y, x = np.mgrid[:size, :size]
    distance = np.hypot(y - centre[0], x - centre[1])
    return np.where(abs(distance - radius) < radius / 4, ink, paper).astype(np.uint8)


@contextmanager
def serving(trained: "TrainedRun", port: int = 0) -> Iterator[int]:
    """Serve a run's page in a thread, and give the port."""
    import uvicorn

    from mnist_lightning import serve
    from mnist_lightning.pictures.web import application

    config = uvicorn.Config(application(trained), log_config=None, http="h11", ws="none", lifespan="off")
    server = uvicorn.Server(config)
    with serve.listen("127.0.0.1", port) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(timeout=20)


def scontrol(folder: Path, status: int = 0) -> None:
    """Make a program of that name that notes what it is asked."""
    (folder / "scontrol").write_text(f"#!/bin/sh\necho $@ >> {folder}/asked\nexit {status}\n")
    (folder / "scontrol").chmod(0o755)
