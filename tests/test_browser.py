"""The drawing page in a real Chromium: `make browser-test`. The pictures of it are kept in build/screenshots."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import keep, mnist_folder, ring, serving, until
from PIL import Image, ImageDraw
from test_train import fit

from mnist_lightning.datasets.mnist import FashionMNIST
from mnist_lightning.pictures import web
from mnist_lightning.trained import TrainedRun, load_run

pytest.importorskip("selenium", reason="selenium is not installed")

from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.remote.webelement import WebElement

pytestmark = pytest.mark.browser

EMPTY = "Draw a digit."
Points = Sequence[tuple[float, float]]  # fractions of the paper's side, from its upper left corner
ONE: Points = [(0.5, 0.2), (0.5, 0.5), (0.5, 0.8)]
SEVEN: Points = [(0.3, 0.22), (0.5, 0.22), (0.7, 0.22), (0.6, 0.5), (0.48, 0.82)]
ZERO: Points = [
    (0.5, 0.18), (0.37, 0.26), (0.31, 0.5), (0.37, 0.74), (0.5, 0.82), (0.63, 0.74), (0.69, 0.5), (0.63, 0.26),
    (0.5, 0.18),
]  # fmt: skip


@pytest.fixture(scope="module")
def trained(chromium: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    """A network after an epoch on MNIST, or ten on the digits where there is no MNIST."""
    directory = tmp_path_factory.mktemp("trained") / "run"
    folder = mnist_folder()
    data = (f"data.root={folder.parent.parent}", "trainer.max_epochs=1") if folder else ("data=digits",)
    fit(directory, *data, "logger=none")
    return load_run(directory)


@pytest.fixture
def page(browser: Chrome, trained: TrainedRun) -> Iterator[Chrome]:
    """The browser with the drawing page; afterwards its console must be empty, and no other host was asked."""
    with serving(trained) as port:
        browser.get(f"http://127.0.0.1:{port}/")
        until(browser, lambda: "epoch" in browser.find_element("id", "run").text)
        yield browser
        asked = browser.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
        assert len(asked) >= 3
        assert [address for address in asked if not address.startswith(f"http://127.0.0.1:{port}/")] == []
        assert browser.get_log("browser") == []


def words(browser: Chrome) -> str:
    """Return the answer in words as it is read aloud: nothing new while the pen is down."""
    return str(browser.find_element("id", "spoken").get_property("textContent"))


def wait_for(browser: Chrome, beginning: str) -> None:
    try:
        until(browser, lambda: words(browser).startswith(beginning))
    except Exception as error:
        raise AssertionError(f"{words(browser)!r} instead of {beginning!r}") from error


def stroke(browser: Chrome, points: Points) -> None:
    """Draw a line with the mouse."""
    paper = browser.find_element("id", "drawing")
    side = paper.size["width"]
    actions = ActionChains(browser, duration=10)
    for number, (x, y) in enumerate(points):
        actions.move_to_element_with_offset(paper, round((x - 0.5) * side), round((y - 0.5) * side))
        if number == 0:
            actions.click_and_hold()
    actions.release().perform()


def resize(browser: Chrome, width: int, height: int, scheme: str = "light", **features: str) -> None:
    """Show the page as a screen of that size, light or dark, would; those below 600 px are touched."""
    is_phone = width < 600
    size = {"width": width, "height": height, "deviceScaleFactor": 3 if is_phone else 1, "mobile": is_phone}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    media = {"prefers-color-scheme": scheme} | features
    named = [{"name": name.replace("_", "-"), "value": value} for name, value in media.items()]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": named})


def focused(browser: Chrome) -> WebElement:
    return browser.switch_to.active_element


@pytest.mark.parametrize(("digit", "points"), [(1, ONE), (0, ZERO), (7, SEVEN)])
def test_a_drawn_digit_is_read(page: Chrome, digit: int, points: Points) -> None:
    stroke(page, points)
    wait_for(page, f"{digit}, ")
    until(page, lambda: words(page) == page.find_element("id", "words").get_property("textContent"))
    assert page.find_element("id", "digit").text == str(digit)
    rows = page.find_elements("css selector", "#bars li")
    percents = [float(row.text.split()[1].removesuffix("%")) for row in rows]
    assert [row.text.split()[0] for row in rows] == list("0123456789")
    assert percents[digit] == max(percents)
    assert sum(percents) == pytest.approx(100, abs=0.5)
    ink = "return document.querySelector('#seen').getContext('2d').getImageData(0, 0, 28, 28).data"
    assert max(page.execute_script(ink)[::4]) == 255
    keep(page, f"drawn-{digit}")


@pytest.mark.parametrize("size", [0.2, 0.4])
@pytest.mark.parametrize(("digit", "points"), [(0, ZERO), (7, SEVEN)])
def test_a_small_digit_is_sent_as_a_large_one(page: Chrome, digit: int, points: Points, size: float) -> None:
    """Its strokes are not wider than those of a large one, so that its loop stays open."""
    stroke(page, [(0.05 + size * x, 0.05 + size * y) for x, y in points])
    wait_for(page, f"{digit}, ")


def test_a_tap_leaves_ink(page: Chrome) -> None:
    page.find_element("id", "drawing").click()
    wait_for(page, "")
    until(page, lambda: words(page) != EMPTY)
    ink = "const c = document.querySelector('#drawing'); const d = c.getContext('2d')"
    count = f"{ink}.getImageData(0, 0, c.width, c.height).data; return d.filter((_, i) => i % 4 === 3).some(Boolean)"
    assert page.execute_script(count)


def test_the_answer_is_read_aloud_once_the_pen_is_lifted(page: Chrome) -> None:
    page.execute_script(
        "window.said = []; new MutationObserver(() => said.push(spoken.textContent))"
        ".observe(document.querySelector('#spoken'), { childList: true })"
    )
    paper = page.find_element("id", "drawing")
    side = paper.size["width"]
    actions = ActionChains(page, duration=10).move_to_element_with_offset(paper, 0, -side // 3).click_and_hold()
    actions.move_by_offset(0, side // 3).move_by_offset(0, side // 4).perform()
    until(page, lambda: page.find_element("id", "words").text.startswith("1, "))
    assert page.execute_script("return said") == []
    ActionChains(page).release().perform()
    until(page, lambda: bool(page.execute_script("return said")))
    assert [sentence[:2] for sentence in page.execute_script("return said")] == ["1,"]


def test_undo_and_clear(page: Chrome) -> None:
    undo, clear = page.find_element("id", "undo"), page.find_element("id", "clear")
    assert words(page) == EMPTY
    stroke(page, ONE)
    wait_for(page, "1, ")
    stroke(page, [(0.2, 0.5), (0.5, 0.5), (0.8, 0.5)])
    until(page, lambda: not words(page).startswith(("1, ", EMPTY)))
    undo.click()
    wait_for(page, "1, ")
    undo.click()
    wait_for(page, EMPTY)
    stroke(page, ONE)
    clear.click()
    wait_for(page, EMPTY)
    undo.click()
    wait_for(page, "1, ")


def test_a_digit_is_drawn_by_keys(page: Chrome) -> None:
    page.find_element("tag name", "body").send_keys(Keys.TAB)
    assert focused(page).get_attribute("id") == "drawing"
    assert focused(page).value_of_css_property("outline-style") == "solid"
    focused(page).send_keys(Keys.SPACE, Keys.ARROW_DOWN * 22, Keys.SPACE, Keys.ARROW_RIGHT * 5)
    wait_for(page, "1, ")
    keep(page, "keys")
    focused(page).send_keys(Keys.BACKSPACE)
    wait_for(page, EMPTY)
    focused(page).send_keys(Keys.BACKSPACE, Keys.SPACE, Keys.ARROW_UP * 22, Keys.SPACE)
    wait_for(page, "1, ")
    focused(page).send_keys(Keys.ESCAPE)
    wait_for(page, EMPTY)
    for name in ("undo", "clear"):
        focused(page).send_keys(Keys.TAB)
        assert focused(page).get_attribute("id") == name
        assert focused(page).value_of_css_property("outline-style") == "solid"


def test_a_finger_draws_and_does_not_scroll(page: Chrome) -> None:
    resize(page, 360, 740)
    page.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    paper = page.find_element("id", "drawing").rect
    for kind, points in (("touchStart", ONE[:1]), *(("touchMove", [point]) for point in ONE), ("touchEnd", [])):
        touches = [{"x": paper["x"] + x * paper["width"], "y": paper["y"] + y * paper["height"]} for x, y in points]
        page.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})
    wait_for(page, "1, ")
    assert page.execute_script("return scrollY") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(360, 740), (768, 1000), (1280, 860)])
def test_the_page_fits(page: Chrome, width: int, height: int, scheme: str) -> None:
    resize(page, width, height, scheme)
    page.refresh()
    stroke(page, SEVEN)
    wait_for(page, "7, ")
    keep(page, f"{width}-{scheme}")
    has, needs = page.execute_script(
        "const { clientWidth, scrollWidth } = document.documentElement; return [clientWidth, scrollWidth]"
    )
    assert needs == has <= width, "else it scrolls sideways"
    colour = page.find_element("tag name", "body").value_of_css_property("background-color")
    red = int(colour.partition("(")[2].partition(",")[0])
    assert red < 64 if scheme == "dark" else red > 192
    pixels, width_on_screen, density = page.execute_script(
        "const paper = document.querySelector('#drawing'); return [paper.width, paper.clientWidth, devicePixelRatio]"
    )
    assert pixels == pytest.approx(width_on_screen * density, abs=1), "as many as the screen has"


@pytest.mark.parametrize(("width", "height"), [(740, 360), (844, 390), (640, 400), (1366, 625)])
def test_paper_and_buttons_fit_on_a_low_screen(page: Chrome, width: int, height: int) -> None:
    resize(page, width, height)
    page.refresh()
    stroke(page, SEVEN)
    wait_for(page, "7, ")
    keep(page, f"{width}x{height}")
    for name in ("drawing", "undo", "clear", "digit"):
        place = page.find_element("id", name).rect
        assert place["y"] + place["height"] <= height, name


def test_nothing_moves_where_that_is_unwelcome(page: Chrome) -> None:
    bar = page.find_element("css selector", ".bar")
    assert bar.value_of_css_property("transition-duration") == "0.12s"
    resize(page, 1280, 860, prefers_reduced_motion="reduce")
    assert bar.value_of_css_property("transition-duration") in ("0s", "")


def test_a_server_that_has_gone_is_said_and_waited_for(browser: Chrome, trained: TrainedRun) -> None:
    with serving(trained) as port:
        browser.get(f"http://127.0.0.1:{port}/")
        until(browser, lambda: "epoch" in browser.find_element("id", "run").text)
    gone = browser.find_element("id", "gone")
    stroke(browser, ONE)
    until(browser, gone.is_displayed)
    assert gone.text.startswith("The server has gone. Start it again, and this page goes on")
    assert gone.text.endswith(f" --port {port}")
    wait_for(browser, "No answer.")
    keep(browser, "gone")
    with serving(trained, port):
        until(browser, lambda: not gone.is_displayed())
        wait_for(browser, "1, ")


def test_classes_have_their_names(browser: Chrome, trained: TrainedRun) -> None:
    names = FashionMNIST.classes
    with serving(replace(trained, classes=names)) as port:
        browser.get(f"http://127.0.0.1:{port}/")
        until(browser, lambda: browser.title == "Draw a picture")
        labels = [label.text for label in browser.find_elements("css selector", "#bars .label")]
        assert labels == [*names]
        stroke(browser, ZERO)
        until(browser, lambda: words(browser).partition(",")[0] in names)
        assert browser.find_element("id", "digit").text in names
        keep(browser, "classes")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of photos, and of what is none."""
    Image.fromarray(ring(900, 250, (450, 450), 40, 220)).save(tmp_path / "zero.png")
    seven = Image.new("L", (1600, 1200), 215)
    ImageDraw.Draw(seven).line([(600, 300), (1000, 300), (750, 950)], 50, 70, "curve")
    seven.save(tmp_path / "seven.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: to be turned to the right
    seven.rotate(90, expand=True).save(tmp_path / "turned.jpg", exif=exif)
    ink = Image.new("RGBA", (400, 400), (255, 255, 255, 0))
    ImageDraw.Draw(ink).line([(200, 60), (200, 340)], "white", 40)
    ink.save(tmp_path / "light_one.png")
    blank = Image.new("L", (300, 300), 255)
    one = blank.copy()
    ImageDraw.Draw(one).line([(150, 50), (150, 250)], 0, 30)
    blank.save(tmp_path / "drawn.gif", save_all=True, append_images=[one])
    noise = np.random.default_rng(0).integers(0, 256, (4000, 3000, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.jpg", quality=20)
    Image.fromarray(np.dstack([noise, noise[..., :1] | 1])[:1000, :1000]).save(tmp_path / "noise.png")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    (tmp_path / "empty.png").touch()
    return tmp_path


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The pictures that the page sends, as they come."""
    came: list[bytes] = []
    answer = web.answer

    def answer_and_note(trained: TrainedRun, file: bytes) -> dict[str, Any]:
        came.append(file)
        return answer(trained, file)

    monkeypatch.setattr(web, "answer", answer_and_note)
    return came


def size_of(file: bytes) -> tuple[str | None, tuple[int, int]]:
    with Image.open(io.BytesIO(file)) as picture:
        return picture.format, picture.size


def choose(browser: Chrome, file: Path) -> None:
    browser.find_element("id", "file").send_keys(str(file))


def drop(browser: Chrome, *files: Path, text: str = "", link: str = "") -> None:
    """Drop files, a text or a link on the page as the mouse does."""
    items = [{"mimeType": kind, "data": data} for kind, data in (("text/plain", text), ("text/uri-list", link)) if data]
    data = {"items": items, "files": [str(file) for file in files], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        browser.execute_cdp_cmd("Input.dispatchDragEvent", {"type": kind, "x": 200, "y": 300, "data": data})


def paste(browser: Chrome, file: Path) -> None:
    """Copy a picture as another program would, and press Ctrl+V."""
    address = browser.current_url.rstrip("/")
    permissions = ["clipboardReadWrite", "clipboardSanitizedWrite"]
    browser.execute_cdp_cmd("Browser.grantPermissions", {"permissions": permissions, "origin": address})
    browser.execute_async_script(
        "const [bytes, done] = arguments; const blob = new Blob([new Uint8Array(bytes)], { type: 'image/png' });"
        "navigator.clipboard.write([new ClipboardItem({ 'image/png': blob })]).then(done)",
        list(file.read_bytes()),
    )
    ActionChains(browser).key_down(Keys.CONTROL).send_keys("v").key_up(Keys.CONTROL).perform()


def trouble(browser: Chrome) -> str:
    shown = browser.find_element("id", "trouble")
    return shown.text if shown.is_displayed() else ""


def photo_shown(browser: Chrome) -> str:
    return str(browser.find_element("id", "drawing").get_attribute("aria-label")).removeprefix("Drawing area")


def wait_for_photo(browser: Chrome, name: str) -> None:
    until(browser, lambda: photo_shown(browser).endswith(name))


@pytest.mark.parametrize("way", [choose, drop, paste])
def test_a_photo_is_read(page: Chrome, photos: Path, way: Any) -> None:
    """Also in place of a drawing; cleared, and brought back by undo, it goes like one."""
    stroke(page, ONE)
    wait_for(page, "1, ")
    way(page, photos / "zero.png")
    wait_for(page, "0, ")
    assert photo_shown(page) in (", with the photo zero.png", ", with the photo image.png")
    keep(page, f"photo-{way.__name__}")
    page.find_element("id", "clear").click()
    wait_for(page, EMPTY)
    assert photo_shown(page) == ""
    page.find_element("id", "undo").click()
    wait_for(page, "0, ")


def test_a_drawing_on_a_photo_begins_anew(page: Chrome, photos: Path) -> None:
    choose(page, photos / "seven.jpg")
    wait_for(page, "7, ")
    stroke(page, ONE)
    wait_for(page, "1, ")
    assert photo_shown(page) == ""
    stroke(page, [(0.2, 0.5), (0.5, 0.5), (0.8, 0.5)])
    until(page, lambda: not words(page).startswith(("1, ", "7, ", EMPTY)))
    undo = page.find_element("id", "undo")
    undo.click()
    wait_for(page, "1, ")
    undo.click()
    wait_for(page, "7, ")
    assert photo_shown(page) == ", with the photo seven.jpg"
    undo.click()
    wait_for(page, EMPTY)


def test_undo_brings_back_what_a_photo_replaced(page: Chrome, photos: Path) -> None:
    stroke(page, ONE)
    choose(page, photos / "zero.png")
    wait_for(page, "0, ")
    page.find_element("id", "undo").click()
    wait_for(page, "1, ")


def test_a_photo_of_a_telephone_is_turned_upright(page: Chrome, photos: Path, sent: list[bytes]) -> None:
    for name in ("turned.jpg", "seven.jpg"):
        choose(page, photos / name)
        wait_for(page, "7, ")
        wait_for_photo(page, name)
    until(page, lambda: len(sent) == 2)
    assert [size_of(file) for file in sent] == [("JPEG", (1024, 768))] * 2


@pytest.mark.parametrize(("name", "answer"), [("light_one.png", "1, "), ("drawn.gif", "1, ")])
def test_transparent_and_moving_pictures_are_read(page: Chrome, photos: Path, name: str, answer: str) -> None:
    choose(page, photos / name)
    wait_for(page, answer)
    keep(page, f"photo-{name}")
    ink = "const c = document.querySelector('#drawing'); const d = c.getContext('2d')"
    greys = page.execute_script(f"{ink}.getImageData(0, c.height / 2, c.width, 1).data; return [...d]")[::4]
    assert abs(greys[len(greys) // 2] - greys[len(greys) // 4]) > 200, "the ink is seen on its paper"


def test_a_large_photo_is_sent_small(page: Chrome, photos: Path, sent: list[bytes]) -> None:
    for name in ("noise.jpg", "noise.png"):
        drop(page, photos / name)
        wait_for_photo(page, name)
    until(page, lambda: len(sent) == 2)
    assert [size_of(file) for file in sent] == [("JPEG", (768, 1024)), ("PNG", (500, 500))]
    assert max(len(file) for file in sent) <= web.MOST_BYTES


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("notes.txt", "notes.txt is no picture: give a JPEG or PNG."),
        ("IMG_1.HEIC", "IMG_1.HEIC is a HEIC picture, which this browser can't open: save it as JPEG."),
        ("empty.png", "empty.png is empty."),
    ],
)
def test_what_is_no_picture_is_said(page: Chrome, photos: Path, name: str, why: str) -> None:
    """What was drawn stays."""
    stroke(page, ONE)
    wait_for(page, "1, ")
    drop(page, photos / name)
    until(page, lambda: trouble(page) == why)
    keep(page, f"photo-{name}")
    assert words(page).startswith("1, ")
    stroke(page, SEVEN)
    until(page, lambda: trouble(page) == "")


def test_what_else_is_dropped_is_said(page: Chrome, photos: Path) -> None:
    address = page.current_url
    for dropped in ({"text": "seven"}, {"link": "http://127.0.0.1/seven.png"}):
        drop(page, **dropped)
        until(page, lambda: trouble(page) == "No picture is in it: give a JPEG or PNG.")
    drop(page, photos / "zero.png", photos / "seven.jpg")
    until(page, lambda: trouble(page) == "Give one picture at a time.")
    assert page.current_url == address
    drop(page, photos / "noise.jpg")
    drop(page, photos / "seven.jpg")
    wait_for(page, "7, ")
    assert (trouble(page), photo_shown(page)) == ("", ", with the photo seven.jpg")


def test_a_photo_while_the_server_has_gone_is_read_when_it_is_back(
    browser: Chrome, trained: TrainedRun, photos: Path
) -> None:
    with serving(trained) as port:
        browser.get(f"http://127.0.0.1:{port}/")
        until(browser, lambda: "epoch" in browser.find_element("id", "run").text)
    choose(browser, photos / "zero.png")
    until(browser, browser.find_element("id", "gone").is_displayed)
    with serving(trained, port):
        wait_for(browser, "0, ")


def test_a_remark_is_shown_and_read_aloud(page: Chrome, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "The network is not sure: the picture may show more than one digit."
    answer = web.answer
    monkeypatch.setattr(web, "answer", lambda trained, file: answer(trained, file) | {"remark": text})
    choose(page, photos / "zero.png")
    until(page, lambda: words(page).startswith("0, ") and words(page).endswith(f" {text}"))
    assert page.find_element("id", "remark").text == text
    for width, height in ((320, 640), (800, 1000), (1280, 860)):
        for scheme in ("light", "dark"):
            resize(page, width, height, scheme)
            keep(page, f"photo-{width}-{scheme}")
            needs = page.execute_script("return document.documentElement.scrollWidth")
            assert needs <= width, "else it scrolls sideways"
    monkeypatch.setattr(web, "answer", answer)
    page.find_element("id", "clear").click()
    wait_for(page, EMPTY)
    assert page.find_element("id", "remark").text == ""


def test_a_photo_is_chosen_by_keys(page: Chrome) -> None:
    page.execute_script("window.opened = 0; document.querySelector('#file').click = () => { opened++ }")
    page.find_element("id", "clear").send_keys(Keys.TAB)
    assert focused(page).get_attribute("id") == "photo"
    assert focused(page).value_of_css_property("outline-style") == "solid"
    focused(page).send_keys(Keys.ENTER)
    assert page.execute_script("return opened") == 1
