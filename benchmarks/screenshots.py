"""The README's pictures of TensorBoard, of a sweep of the default experiment:

python train.py -m optimizer.lr=0.01,0.1 seed=0,1 data.val_size=5000 hydra.sweep.dir=runs/shown
python benchmarks/screenshots.py runs/shown

Needs chromium and chromedriver. Writes docs/tensorboard.png and docs/tensorboard_images.png.
"""

import argparse
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

DOCS = Path(__file__).parent.parent / "docs"
WIDTH = 1280
PICTURES = {"tensorboard": ("timeseries", 1180), "tensorboard_images": ("images&regexInput=^0_", 1330)}
DEEP = """
    function* deep(root) { for (const e of root.querySelectorAll('*')) { yield e; if (e.shadowRoot) yield* deep(e.shadowRoot) } }
    const button = [...deep(document)].find(e => e.matches('button') && e.textContent.trim() === arguments[0]);
    button?.click();
"""  # noqa: E501 - most of TensorBoard stands in shadow trees


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweep", type=Path, metavar="SWEEP")
    sweep = parser.parse_args().sweep
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{(port := listener.getsockname()[1])}"
    words = ["--logdir", str(sweep), "--port", str(port), "--samples_per_plugin", "images=100,scalars=10000"]
    server = subprocess.Popen([sys.executable, "-m", "tensorboard.main", *words], stderr=subprocess.DEVNULL)
    options = ChromeOptions()
    options.binary_location = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu"):
        options.add_argument(argument)
    browser = Chrome(options, Service(shutil.which("chromedriver")))
    try:
        time.sleep(20)  # it reads in the background
        urlopen(address).close()
        for name, (tab, height) in PICTURES.items():
            browser.set_window_size(WIDTH, height)
            browser.get("about:blank")
            browser.get(f"{address}/#{tab}")
            time.sleep(8)
            browser.execute_script(DEEP, "Settings")  # closes a pane
            time.sleep(4)
            browser.save_screenshot(str(DOCS / f"{name}.png"))
    finally:
        browser.quit()
        server.terminate()
    return 0


if __name__ == "__main__":
    sys.exit(main())
