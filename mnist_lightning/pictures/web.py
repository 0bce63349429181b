"""The page where one draws a digit or shows a photo of one: its files in page/, and the network's answer."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from mnist_lightning.pictures.picture_files import read_picture
from mnist_lightning.pictures.prepare import PictureError, prepare
from mnist_lightning.pictures.remark import remark_on
from mnist_lightning.runs.run import peek

if TYPE_CHECKING:
    from mnist_lightning.trained import TrainedRun

PAGE = Path(__file__).parent / "page"
MOST_BYTES = 2**20  # of a picture; a drawing has about 3,000
MOST_PIXELS = 16_000_000  # a telephone's photograph has 12 million
AT_ONCE = 2  # pictures that are prepared at the same time; the most, one that moves, takes 320 MiB
FORMATS = ("PNG", "JPEG", "WEBP", "BMP")  # from strangers; the page makes a PNG of a GIF, whose frames may be vast
LOCAL_NAMES = {"localhost", "127.0.0.1", "[::1]"}
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # the next version of the page is asked for
}


def application(trained: "TrainedRun", host: str = "127.0.0.1") -> Starlette:
    """Return the server of the drawing page.

    GET / is the page, GET /run says what run it is, and POST /predict, a picture's file, says which digit is on it.
    What is wrong with a request is answered by {"error": one line}, but for what is not HTTP at all. The server has the
    name or address `host`, beside those of this machine itself.
    """
    names = LOCAL_NAMES | {in_url(host).lower()}
    app = Starlette(
        routes=[
            Route("/", page),
            Route("/run", partial(run, trained)),
            Route("/predict", partial(predict, trained, asyncio.Semaphore(AT_ONCE)), methods=["POST"]),
            Mount("/page", StaticFiles(directory=PAGE)),
        ],
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=partial(guarded, names))],
        exception_handlers=dict.fromkeys((HTTPException, PictureError, ClientDisconnect, Exception), explained),
    )
    app.router.redirect_slashes = False
    return app


async def page(request: Request) -> Response:
    return FileResponse(PAGE / "index.html")


async def run(trained: "TrainedRun", request: Request) -> Response:
    """Answer which network it is, and its test accuracy (a fraction) where results.json has it, else null."""
    epochs = (peek(trained.directory) or {}).get("epochs", [])
    reached = [epoch.get("test_accuracy") for epoch in epochs if epoch["epoch"] == trained.epochs]
    accuracy = reached[-1] if reached and isinstance(reached[-1], float) and 0 <= reached[-1] <= 1 else None
    about = {"name": trained.config.name, "checkpoint": str(trained.checkpoint), "epochs": trained.epochs}
    return JSONResponse(about | {"accuracy": accuracy, "classes": [*trained.classes]})


async def predict(trained: "TrainedRun", turns: asyncio.Semaphore, request: Request) -> Response:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise HTTPException(413, f"the picture is larger than {MOST_BYTES:,} bytes: make it smaller")
    async with turns:
        return JSONResponse(await run_in_threadpool(answer, trained, bytes(body)))


def answer(trained: "TrainedRun", file: bytes) -> dict[str, Any]:
    """Return the number of the class, the probabilities, the 28×28 greys that the network sees, all null where blank.

    And what speaks against the answer, or null.
    """
    grey = read_picture(BytesIO(file), formats=FORMATS, most_pixels=MOST_PIXELS)
    try:
        prepared = prepare(grey)
    except PictureError:  # blank
        return {"digit": None, "probabilities": None, "prepared": None, "remark": None}
    likely = trained.probabilities(prepared)[0].tolist()
    remark = remark_on(prepared, likely, trained.classes)
    about = {"probabilities": likely, "prepared": prepared.tolist(), "remark": remark}
    return {"digit": likely.index(max(likely))} | about


async def guarded(names: set[str], request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Answer this server's own page only, and with headers that bind it to this server."""
    problem = stranger(names, request)
    response = JSONResponse({"error": problem}, 403) if problem else await call_next(request)
    response.headers.update(HEADERS)
    return response


def stranger(names: set[str], request: Request) -> str | None:
    """Return what shows that another site's page sent a request, None where it is our own.

    The Host is another than this server's where that site's name was made to point here (DNS rebinding).
    """
    host, origin = request.headers.get("host", ""), request.headers.get("origin")
    name = re.sub(r":\d*$", "", host).lower()
    if name not in names | {in_url(request.scope["server"][0])}:
        return f"Host {host}: this server has another name"
    if origin not in (None, f"http://{host}"):
        return f"Origin {origin}: only the page of this server may ask"
    return None


def in_url(address: str) -> str:
    return f"[{address}]" if ":" in address else address


async def explained(request: Request, error: Exception) -> Response:
    """Answer what is wrong: with the request, or with this program, whose traceback is on the terminal."""
    if isinstance(error, HTTPException):
        return JSONResponse({"error": error.detail}, error.status_code, error.headers)
    if isinstance(error, PictureError):
        return JSONResponse({"error": str(error)}, 422)
    if isinstance(error, ClientDisconnect):  # nobody waits for an answer any more, as after a reload of the page
        return Response(status_code=400)
    return JSONResponse({"error": "the server failed: its terminal says why"}, 500)
