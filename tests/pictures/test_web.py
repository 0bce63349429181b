"""The drawing page's server, asked over the network as a browser asks it, and as one must not."""

import http.client
import json
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from conftest import environment, ring, serving
from PIL import Image
from test_train import fit

from mnist_lightning import serve
from mnist_lightning.pictures.prepare import prepare
from mnist_lightning.runs.errors import RunError, UsageError
from mnist_lightning.trained import TrainedRun, load_run

pytest.importorskip("starlette", reason="the extra `serve` is not installed")
pytest.importorskip("uvicorn", reason="the extra `serve` is not installed")


from mnist_lightning.pictures.web import MOST_BYTES

ZERO = ring(200, 40, (90, 110), 20, 240)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    """A network that has seen the digits for three epochs."""
    directory = tmp_path_factory.mktemp("trained") / "run"
    fit(directory, "data=digits", "trainer.max_epochs=3", "logger=none")
    return load_run(directory)


@pytest.fixture(scope="module")
def port(trained: TrainedRun) -> Iterator[int]:
    with serving(trained) as port:
        yield port


def ask(
    port: int, method: str, path: str, body: bytes | Iterator[bytes] | None = None, **headers: str
) -> tuple[int, Any, http.client.HTTPMessage]:
    """Return status, content (of JSON the object) and headers of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        content = response.read()
    finally:
        connection.close()
    is_json = response.headers["content-type"] == "application/json"
    return response.status, json.loads(content) if is_json else content.decode(), response.headers


def png(grey: np.ndarray) -> bytes:
    file = BytesIO()
    Image.fromarray(grey).save(file, "PNG")
    return file.getvalue()


def test_the_answer_is_the_networks(trained: TrainedRun, port: int) -> None:
    status, answer, _ = ask(port, "POST", "/predict", png(ZERO))
    prepared = prepare(ZERO)
    [probabilities] = trained.probabilities(prepared)
    assert (status, answer["digit"]) == (200, 0)
    assert answer["prepared"] == prepared.tolist()
    assert answer["probabilities"] == probabilities.tolist()


def test_blank_paper_is_an_answer(port: int) -> None:
    status, answer, _ = ask(port, "POST", "/predict", png(np.full((280, 280), 255, np.uint8)))
    assert (status, answer) == (200, {"digit": None, "probabilities": None, "prepared": None, "remark": None})


def test_it_says_which_run_it_is(trained: TrainedRun, port: int) -> None:
    results = json.loads((trained.directory / "results.json").read_text())
    status, run, _ = ask(port, "GET", "/run")
    assert (status, run) == (
        200,
        {
            "name": "digits-cnn",
            "checkpoint": str(trained.directory / "checkpoints" / "last.ckpt"),
            "epochs": 3,
            "accuracy": results["test"]["accuracy"],
            "classes": [str(digit) for digit in range(10)],
        },
    )


@pytest.mark.parametrize(
    ("path", "kind", "part"),
    [
        ("/", "text/html", "<h1>Draw a digit</h1>"),
        ("/page/draw.js", "javascript", "pointerdown"),
        ("/page/photo.js", "javascript", "createImageBitmap"),
        ("/page/style.css", "text/css", "touch-action: none"),
        ("/page/icon.svg", "image/svg+xml", "<svg"),
    ],
)
def test_the_page_is_bound_to_its_server(port: int, path: str, kind: str, part: str) -> None:
    status, content, headers = ask(port, "GET", path)
    assert status == 200
    assert kind in headers["content-type"]
    assert part in content
    assert "//" not in content.replace("http://www.w3.org/2000/svg", "").replace("// ", ""), "no address but its own"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"].startswith("default-src 'self';")


def enormous(side: int) -> bytes:
    file = BytesIO()
    Image.new("1", (side, side)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("POST", "/predict", b"no picture", 422, "not a picture that can be read"),
        ("POST", "/predict", b"", 422, "empty: there is nothing in it"),
        ("POST", "/predict", png(ZERO)[:400], 422, "truncated"),
        (
            "POST",
            "/predict",
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n",
            422,
            "not a picture that can be read",
        ),
        ("POST", "/predict", b"GIF89a", 422, "not a picture that can be read"),
        ("POST", "/predict", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", 422, "is a HEIC picture: save it as JPEG"),
        ("POST", "/predict", b"%PDF-1.7", 422, "is a PDF: save the page as PNG"),
        ("POST", "/predict", enormous(5_000), 422, "more than 16,000,000 pixels: make it smaller"),
        ("POST", "/predict", enormous(11_000), 422, "more than 16,000,000 pixels: make it smaller"),
        ("POST", "/predict", enormous(20_000), 422, "more than 16,000,000 pixels: make it smaller"),
        ("POST", "/predict", bytes(MOST_BYTES + 1), 413, "larger than 1,048,576 bytes: make it smaller"),
        ("GET", "/predict", None, 405, "Method Not Allowed"),
        ("POST", "/", b"", 405, "Method Not Allowed"),
        ("GET", "/nowhere", None, 404, "Not Found"),
        ("POST", "/predict/", b"", 404, "Not Found"),
        ("GET", "/page/../serve.py", None, 404, "Not Found"),
        ("GET", "/page/%2e%2e/serve.py", None, 404, "Not Found"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_answered_is_said(
    port: int, method: str, path: str, body: bytes | None, status: int, message: str
) -> None:
    answered, content, headers = ask(port, method, path, body)
    assert (answered, list(content)) == (status, ["error"])
    assert message in content["error"]
    assert "\n" not in content["error"]
    assert headers["x-content-type-options"] == "nosniff"


def test_a_body_without_end_is_answered_at_its_limit(port: int) -> None:
    """It comes in chunks, without a length; the answer does not wait for the last."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(MOST_BYTES // 65_536 + 1):
            connection.sendall(b"10000\r\n" + bytes(65_536) + b"\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_a_client_that_leaves_is_no_fault(port: int, caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n1")
        time.sleep(0.2)
    time.sleep(0.2)
    assert ask(port, "GET", "/run")[0] == 200
    assert not caplog.records


def test_large_pictures_all_at_once_take_turns(port: int) -> None:
    """Each is within the limits; together they must not fill the memory."""
    large = BytesIO()
    Image.new("RGBA", (4_000, 4_000)).save(large, "PNG")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda _: ask(port, "POST", "/predict", large.getvalue())[0], range(8)))
    assert answers == [200] * 8
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**20, "KiB: at most a GiB more"


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"Host": "rebound.example"}, "Host rebound.example: this server has another name"),
        ({"Host": "rebound.example:80"}, "Host rebound.example:80: this server has another name"),
        ({"Host": "localhost.rebound.example"}, "this server has another name"),
        ({"Host": ""}, "this server has another name"),
        ({"Origin": "https://other.example"}, "Origin https://other.example: only the page of this server may ask"),
        ({"Origin": "http://localhost:1"}, "only the page of this server may ask"),
        ({"Origin": "null"}, "only the page of this server may ask"),
    ],
)
def test_other_sites_are_refused(port: int, headers: dict[str, str], message: str) -> None:
    for method, path, body in (("POST", "/predict", png(ZERO)), ("GET", "/run", None)):
        status, content, _ = ask(port, method, path, body, **headers)
        assert status == 403
        assert message in content["error"]


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST"])
def test_its_own_page_is_answered(port: int, name: str) -> None:
    host = f"{name}:{port}"
    status, answer, _ = ask(port, "POST", "/predict", png(ZERO), Host=host, Origin=f"http://{host}")
    assert (status, answer["digit"]) == (200, 0)


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        serve.main(["--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert all(option in said for option in ("RUN", "--host", "--port", "--no-browser", "127.0.0.1", "8000"))


@pytest.mark.parametrize("port", ["70000", "-1", "http", "٣"])
def test_a_port_is_a_number(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        serve.main(["run", f"--port={port}"])
    assert ended.value.code == 2
    assert f"'{port}': must be a whole number from 0 to 65535" in capsys.readouterr().err


def test_a_port_in_use_is_said(port: int) -> None:
    with pytest.raises(RunError, match=rf"port {port} is in use: take another by --port N, or --port 0") as raised:
        serve.main(["nowhere", "--port", str(port)])
    assert raised.value.status == 1


def test_a_host_of_another_machine_is_said() -> None:
    with pytest.raises(UsageError, match=r"--host 203\.0\.113\.1: [^(]*; for this machine alone, 127\.0\.0\.1"):
        serve.main(["nowhere", "--host", "203.0.113.1", "--port", "0"])


def test_an_empty_host_is_said() -> None:
    with pytest.raises(UsageError, match="--host: is empty; for this machine alone"):
        serve.main(["nowhere", "--host", "", "--port", "0"])


def test_no_such_run_is_said() -> None:
    with pytest.raises(UsageError, match="nowhere"):
        serve.main(["nowhere", "--port", "0"])


@pytest.mark.parametrize("name", ["starlette", "uvicorn"])
def test_a_missing_extra_is_said(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UsageError, match=rf"^{name} can't be imported .*pip install 'starlette>.* \(the extra serve\)"):
        serve.main(["nowhere"])


@pytest.mark.parametrize(
    ("platform", "variables", "opens"),
    [
        ("linux", {}, False),
        ("linux", {"DISPLAY": ":0"}, True),
        ("linux", {"WAYLAND_DISPLAY": "wayland-0"}, True),
        ("linux", {"BROWSER": "firefox"}, True),
        ("darwin", {}, True),
    ],
)
def test_a_browser_needs_a_display(
    platform: str, variables: dict[str, str], opens: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert serve.has_browser() is opens


WITHOUT_TORCH = """
import runpy, sys, types
sys.modules["mnist_lightning.trained"] = types.SimpleNamespace(  # would take seconds
    load_run=lambda path: types.SimpleNamespace(must_be_28x28=lambda what: None)
)
sys.argv[1:] = ["RUN", "--port", "0", "--no-browser"]
runpy.run_module("mnist_lightning.serve", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(("number", "status", "word"), [("SIGINT", 130, "interrupted"), ("SIGTERM", 143, "terminated")])
def test_a_signal_ends_it_quietly(number: str, status: int, word: str) -> None:
    """Also while a client is in the middle of a request."""
    process = subprocess.Popen(
        [sys.executable, "-c", WITHOUT_TORCH],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        said = process.stdout.readline() if process.stdout else ""
        assert re.fullmatch(r"RUN reads what you draw at http://127\.0\.0\.1:\d+  \(Ctrl-C ends it\)\n", said)
        port = int(re.findall(r"\d+", said)[-1])
        assert ask(port, "GET", "/")[0] == 200
        with socket.create_connection(("127.0.0.1", port)) as slow:
            slow.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n")
            time.sleep(0.2)
            process.send_signal(signal.Signals[number])
            output, errors = process.communicate(timeout=30)
    finally:
        process.kill()
        process.communicate()
    assert (process.returncode, output, errors) == (status, "", f"python -m mnist_lightning.serve: {word}\n")
