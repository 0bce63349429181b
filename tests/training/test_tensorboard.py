"""TensorBoard's pages of a real run and a real sweep in a real Chromium: `make browser-test`."""

import json
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from conftest import PROJECT, environment, keep, mnist_folder, until
from test_train import FIGURES, fit

pytest.importorskip("selenium", reason="selenium is not installed")

from selenium.webdriver import Chrome

pytestmark = pytest.mark.browser

UNFOLDED = {"test/accuracy", "test/loss", "train/learning_rate", "train/loss", "train/loss_epoch"}
TAGS = {*UNFOLDED, "val/accuracy", "val/loss"}
DEEP = """
    function* deep(root) {  // every element, those in shadow trees too, which most of TensorBoard is made of
        for (const element of root.querySelectorAll('*')) {
            yield element;
            if (element.shadowRoot) yield* deep(element.shadowRoot);
        }
    }
    const found = [...deep(document)].filter(element => element.getClientRects().length);
"""


@pytest.fixture(scope="module")
def runs(chromium: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs/: a run of three epochs, and a sweep of two learning rates and two seeds.

    They are of MNIST, or of the digits where there is no MNIST.
    """
    folder, mnist = tmp_path_factory.mktemp("dashboards"), mnist_folder()
    data = f"data.root={mnist.parent.parent}" if mnist else "data=digits"
    length = ("trainer.max_epochs=3", "trainer.limit_train_batches=300", "trainer.log_every_n_steps=20")
    settings = (data, "name=cnn", "data.val_size=100", *length)
    fit(folder / "runs" / "cnn" / "one", *settings, "model.channels=[8,16]", figures=True)
    command = [sys.executable, str(PROJECT / "train.py"), "-m", "optimizer.lr=0.01,0.05", "seed=0,1", *settings]
    subprocess.run([*command, "hydra.launcher.jobs=2"], cwd=folder, env=environment(), check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def address(runs: Path) -> Iterator[str]:
    """TensorBoard as `make tensorboard` starts it, on a free port."""
    planned = subprocess.run(
        ["make", "--no-print-directory", "-n", "tensorboard"], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    _, *arguments = shlex.split(planned.stdout.splitlines()[-1])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [sys.executable, "-m", "tensorboard.main", *arguments, "--port", str(port)]
    process = subprocess.Popen(command, cwd=runs, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_runs(f"http://127.0.0.1:{port}/data/plugin/scalars/tags", 5)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=20)


def wait_for_runs(tags: str, count: int) -> None:
    """Wait until TensorBoard, which reads in the background, has answered with the final scalars of all runs."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(OSError), urlopen(tags) as answer:
            found = json.load(answer)
            if len(found) == count and all("test/accuracy" in of_run for of_run in found.values()):
                return
        time.sleep(0.5)
    raise AssertionError("TensorBoard did not find the runs")


def open_tab(browser: Chrome, address: str, tab: str, height: int = 900) -> None:
    browser.set_window_size(1280, height)
    browser.get(f"{address}/#{tab}")
    wait_for_text(browser, "TensorBoard", "Settings" if tab == "timeseries" else "")


def text(browser: Chrome) -> str:
    """Return all that can be read on the page."""
    own = "[...element.childNodes].filter(node => node.nodeType === 3).map(node => node.textContent).join(' ')"
    return browser.execute_script(f"{DEEP} return found.map(element => {own}).join(' ')")


def find(browser: Chrome, selector: str, value: str) -> list[Any]:
    """Return the JavaScript expression `value` of each visible element that `selector` matches."""
    return browser.execute_script(f"{DEEP} return found.filter(e => e.matches('{selector}')).map(e => {value})")


def click(browser: Chrome, label: str) -> bool:
    """Click the button of this text, and return whether it is there."""
    return browser.execute_script(
        f"{DEEP} const button = found.find(e => e.matches('button') && e.textContent.trim() === arguments[0]);"
        "button?.click(); return Boolean(button)",
        label,
    )


def wait_for_text(browser: Chrome, *parts: str) -> None:
    try:
        until(browser, lambda: all(part in text(browser) for part in parts))
    except Exception as error:
        raise AssertionError(f"{[part for part in parts if part not in text(browser)]} not on the page") from error


def test_scalars_of_run_and_sweep_are_drawn(browser: Chrome, address: str) -> None:
    open_tab(browser, address, "timeseries", 1900)

    def tags() -> set[str]:
        return {tag.strip() for tag in find(browser, "tb-truncated-path", "e.textContent")}

    until(browser, lambda: len(find(browser, "line-chart", "1")) >= len(UNFOLDED))
    assert tags() == UNFOLDED, "TensorBoard unfolds the first two groups"
    for button in ("val2 cards", "Settings"):  # the last closes a pane
        until(browser, lambda button=button: click(browser, button))  # type: ignore[misc]
    until(browser, lambda: tags() == TAGS)
    until(browser, lambda: len(find(browser, "line-chart", "1")) >= len(TAGS))
    names = text(browser)
    assert "hp_metric" not in names
    assert "cnn/one" in names
    assert "cnn-sweep/" in names
    time.sleep(2)  # they are canvases, which do not say whether their lines are drawn
    keep(browser, "tensorboard-timeseries")


def test_figures_are_shown(browser: Chrome, address: str) -> None:
    open_tab(browser, address, "images&regexInput=one", 2300)
    wait_for_text(browser, *(f"visual/{name}" for name in FIGURES))
    widths = "e.naturalWidth"
    until(browser, lambda: sum(width == 350 for width in find(browser, "img", widths)) >= len(FIGURES))
    browser.set_window_size(1280, 1400)  # the first four, for the README
    keep(browser, "tensorboard-images")


def test_losses_stand_in_one_chart(browser: Chrome, address: str) -> None:
    open_tab(browser, address, "custom_scalars")
    wait_for_text(browser, "training and test", "loss", "accuracy")
    lines = 3 * 5 + 2 * 5  # of each run, train, val and test loss; val and test accuracy
    until(browser, lambda: len(find(browser, "path.line", "1")) >= lines)
    keep(browser, "tensorboard-custom-scalars")


def test_configuration_command_and_layers_can_be_read(browser: Chrome, address: str) -> None:
    open_tab(browser, address, "text", 1600)
    wait_for_text(browser, "run/command", "run/configuration", "run/layers", "momentum: 0.5", "features.0")
    keep(browser, "tensorboard-text")


def test_network_is_drawn(browser: Chrome, address: str) -> None:
    open_tab(browser, address, "graphs")
    label = "[e.textContent, e.getBoundingClientRect().width]"  # small until it has been moved to its place
    until(browser, lambda: any("CNN" in name and width > 20 for name, width in find(browser, "text", label)))
    keep(browser, "tensorboard-graph")


def test_precision_and_recall_of_each_class(browser: Chrome, address: str) -> None:
    open_tab(browser, address, "pr_curves")
    wait_for_text(browser, "digit/0", "digit/9")
    until(browser, lambda: len(find(browser, "path.line", "1")) >= 5)
    keep(browser, "tensorboard-pr-curves")


def test_hparams_have_a_row_for_each_run(browser: Chrome, address: str) -> None:
    open_tab(browser, address, "hparams", 500)
    wait_for_text(browser, "optimizer.lr", "data.batch_size", "[8, 16]", "[10, 20]", "0.050000", "SGD")
    words = text(browser).split()
    assert words[words.index("groups:") + 1] == "5", "of one run, and of a sweep of four"
    keep(browser, "tensorboard-hparams")
