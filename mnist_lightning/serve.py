"""Draw a digit and see what the network reads, on a page of this machine: `python -m mnist_lightning.serve RUN`."""

import argparse
import errno
import logging
import os
import socket
import sys
import threading
import webbrowser
from collections.abc import Sequence

from mnist_lightning.runs.errors import RunError, UsageError
from mnist_lightning.terminal.command import answered, check_extra, parser_for_run, show

GOODBYE_SECONDS = 1  # at the end, for answers that are under way


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve the page until a signal ends it."""
    parser = parser_for_run("serve", __doc__)
    where = "where to serve; 0.0.0.0 lets other machines in (default: %(default)s)"
    parser.add_argument("--host", default="127.0.0.1", help=where)
    parser.add_argument("--port", type=port_number, default=8000, help="0 takes a free one (default: %(default)s)")
    parser.add_argument("--no-browser", action="store_true", help="open no browser")
    options = parser.parse_args(arguments)
    check_extra("serve")
    with listen(options.host, options.port) as listener:
        serve(options.run, listener, options.host, open_browser=not options.no_browser)
    return 0


def port_number(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r}: must be a whole number from 0 to 65535")
    return int(text)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that connections can be made to; they wait until they are served."""
    if not host:  # the system would take it for every address
        raise UsageError("--host: is empty; for this machine alone, 127.0.0.1")
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise RunError(f"port {port} is in use: take another by --port N, or --port 0 for a free one") from error
        if error.errno == errno.EACCES:
            raise RunError(f"port {port} is not allowed: take one above 1023, or --port 0 for a free one") from error
        reason = str(error.strerror).partition(" (while ")[0]
        raise UsageError(f"--host {host}: {reason}; for this machine alone, 127.0.0.1") from error


def serve(run: str, listener: socket.socket, host: str, open_browser: bool) -> None:
    """Load the run, say where its page is once it is there, and answer until a signal arrives; uvicorn hands it on."""
    import uvicorn

    from mnist_lightning.pictures.web import application, in_url
    from mnist_lightning.trained import load_run

    trained = load_run(run)
    trained.must_be_28x28("the drawing page is")
    app = application(trained, host)
    is_open, port = host in ("0.0.0.0", "::"), listener.getsockname()[1]
    url = f"http://{'localhost' if is_open else in_url(host)}:{port}"

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            others = f", and to other machines at port {port} of this one's address" if is_open else ""
            show(f"{run} reads what you draw at {url}{others}  (Ctrl-C ends it)")
            if open_browser and has_browser():  # in a thread, because some return only when they are closed
                threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()

    config = uvicorn.Config(
        app, log_config=None, log_level="error", http="h11", ws="none", lifespan="off", proxy_headers=False,
        server_header=False, timeout_graceful_shutdown=GOODBYE_SECONDS,
    )  # fmt: skip
    server = Server(config)
    logging.getLogger("uvicorn.error").addFilter(lambda record: not server.should_exit)  # who is cut off at the end
    server.run(sockets=[listener])


def has_browser() -> bool:
    """Return whether a browser would have a display; without one, some write into the terminal."""
    on_windows_or_mac = sys.platform in ("win32", "cygwin", "darwin")
    return on_windows_or_mac or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))


if __name__ == "__main__":
    with answered():
        sys.exit(main())
