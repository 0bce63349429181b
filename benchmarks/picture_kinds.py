"""Kinds of pictures that people take, each of one trouble: `python benchmarks/own_pictures.py RUN --kinds`.

A digit is the middle line of its strokes, points float (N, 2) of (x, y) in heights of the digit around its centre: half
of them written here, half MNIST's own, thinned to a line. A kind draws it with its pen on its ground.
"""

import io
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage
from skimage.morphology import skeletonize

SIDE = 480  # pixels of a picture
Points = NDArray[np.float64]
Share = NDArray[np.float64]  # of each pixel that is covered, 0 to 1
Colour = tuple[int, int, int]
Random = np.random.Generator


# The digits


def arc(x: float, y: float, width: float, height: float, begin: float, end: float) -> Points:
    """Return points on an ellipse around (x, y), from one angle in degrees to another, clockwise from the right."""
    angles = np.radians(np.linspace(begin, end, 300))
    return np.stack([x + width / 2 * np.cos(angles), y + height / 2 * np.sin(angles)], axis=1)


def path(*corners: tuple[float, float]) -> Points:
    """Return points on the straight lines from corner to corner."""
    return np.concatenate([np.linspace(a, b, 150) for a, b in pairwise(corners)])


STROKES: dict[int, Sequence[Points]] = {  # of a height of 1
    0: [arc(0, 0, 0.62, 1, 0, 360)],
    1: [path((-0.16, -0.3), (0.06, -0.5), (0.06, 0.5))],
    2: [arc(0, -0.22, 0.56, 0.56, 190, 385), path((0.25, -0.1), (-0.3, 0.5), (0.34, 0.5))],
    3: [arc(-0.02, -0.25, 0.5, 0.5, 205, 440), arc(-0.02, 0.23, 0.6, 0.54, -85, 150)],
    4: [path((0.02, -0.5), (-0.32, 0.16), (0.34, 0.16)), path((0.14, -0.1), (0.14, 0.5))],
    5: [path((0.27, -0.5), (-0.22, -0.5), (-0.26, -0.08)), arc(-0.02, 0.18, 0.62, 0.64, 225, 500)],
    6: [path((0.16, -0.5), (-0.12, -0.2), (-0.29, 0.15)), arc(0, 0.2, 0.58, 0.6, 0, 360)],
    7: [path((-0.3, -0.5), (0.3, -0.5), (-0.06, 0.5))],
    8: [arc(0, -0.26, 0.46, 0.48, 0, 360), arc(0, 0.24, 0.58, 0.52, 0, 360)],
    9: [arc(0, -0.2, 0.56, 0.6, 0, 360), path((0.28, -0.2), (0.24, 0.1), (0.1, 0.5))],
}


def written(digit: int, random: Random) -> Points:
    """Return a digit in a hand of its own: slanted, stretched and a little bent."""
    points = np.concatenate(STROKES[digit])
    phase, size = random.uniform(0, 2 * np.pi, 2), random.uniform(0, 0.025)
    bent = points + size * np.sin(4 * points[:, ::-1] + phase)
    slant, stretch = random.uniform(-0.2, 0.2), random.uniform(0.8, 1.15)
    return bent @ np.array([[stretch, 0], [-slant, 1]])


def traced(image: NDArray[np.uint8]) -> Points:
    """Return the middle line of a digit of MNIST, uint8 (28, 28)."""
    large = ndimage.gaussian_filter(ndimage.zoom(image.astype(float), 20, order=1), 8)
    y, x = np.nonzero(skeletonize(large > 0.45 * large.max()))
    points = np.stack([x, y], axis=1).astype(float)
    low, high = points.min(axis=0), points.max(axis=0)
    return (points - (low + high) / 2) / max(*(high - low), 1)


# Pens, paper and light


def distance(points: Points, centre: Points, height: float, turned: float = 0.0) -> Share:
    """Return how many pixels each of a picture is away from a digit's line, which is `height` high and turned."""
    cos, sin = np.cos(np.radians(turned)), np.sin(np.radians(turned))
    x, y = (height * points @ np.array([[cos, sin], [-sin, cos]]) + centre).round().astype(int).T
    is_off = np.ones((SIDE, SIDE), bool)
    inside = (x >= 0) & (y >= 0) & (x < SIDE) & (y < SIDE)
    is_off[y[inside], x[inside]] = False
    return ndimage.gaussian_filter(ndimage.distance_transform_edt(~ndimage.binary_dilation(~is_off)), 1.0)


def pen(away: Share, width: float) -> Share:
    return np.clip(width / 2 - away + 0.5, 0, 1)


def mixed(ground: Share, *layers: tuple[Share, Colour]) -> Share:
    """Return a ground, 0 to 255 (H, W, 3), with each layer's colour where the layer is."""
    for share, colour in layers:
        ground = ground * (1 - share[..., None]) + share[..., None] * np.array(colour, float)
    return ground


def even(colour: Colour) -> Share:
    return np.ones((SIDE, SIDE, 1)) * np.array(colour, float)


def as_picture(pixels: Share, random: Random, grain: float = 3.0) -> Image.Image:
    noise = random.normal(0, grain, (*pixels.shape[:2], 1)) if grain else 0
    return Image.fromarray((pixels + noise).clip(0, 255).round().astype(np.uint8))


def stroked(shapes: Callable[[ImageDraw.ImageDraw], None]) -> Share:
    """Return what Pillow draws in white, 0 to 1."""
    canvas = Image.new("L", (SIDE, SIDE))
    shapes(ImageDraw.Draw(canvas))
    return ndimage.gaussian_filter(np.asarray(canvas, float) / 255, 0.6)


class Digit:
    """One digit somewhere in a picture: its line, where it lies and how high, and its usual pen."""

    def __init__(self, points: Points, random: Random, low: float = 0.35, high: float = 0.6) -> None:
        self.points, self.height = points, SIDE * random.uniform(low, high)
        half = self.height * np.abs(points).max(axis=0) + 0.12 * SIDE
        self.centre = random.uniform(np.minimum(half, SIDE / 2), np.maximum(SIDE - half, SIDE / 2))
        self.away = distance(points, self.centre, self.height)
        self.width = self.height * random.uniform(0.06, 0.12)
        self.ink = pen(self.away, self.width)
        low, high = points.min(axis=0) * self.height, points.max(axis=0) * self.height
        self.left, self.top = self.centre + low - self.width / 2
        self.right, self.bottom = self.centre + high + self.width / 2


def ink_colour(random: Random) -> Colour:
    red, green, blue = random.integers(15, 70, 3).tolist()
    return red, green, blue


def paper(random: Random) -> Share:
    tone = random.uniform(200, 245)
    y, x = np.mgrid[-0.5 : 0.5 : SIDE * 1j, -0.5 : 0.5 : SIDE * 1j]
    angle = random.uniform(0, 2 * np.pi)
    light = tone + random.uniform(0, 40) * (x * np.cos(angle) + y * np.sin(angle))
    return light[..., None] * np.array([1, 0.99, 0.96])


def plain(points: Points, random: Random) -> Image.Image:
    return as_picture(mixed(paper(random), (Digit(points, random).ink, ink_colour(random))), random)


# Sheets


DESKS: Sequence[tuple[Colour, float]] = (  # colour and roughness
    ((45, 42, 40), 4), ((150, 105, 65), 10), ((125, 125, 128), 5), ((60, 70, 120), 14),
)  # fmt: skip


def desk(random: Random) -> Share:
    colour, rough = DESKS[int(random.integers(len(DESKS)))]
    grain = ndimage.gaussian_filter1d(random.normal(0, 4 * rough, (SIDE, SIDE)), 12, axis=1)
    return even(colour) + grain[..., None] + random.normal(0, rough, (SIDE, SIDE, 1))


def on_desk(
    points: Points, random: Random, share: float | None = None, turned: float | None = None,
    sheet: Colour | None = None, ink: Colour | None = None,
) -> Image.Image:  # fmt: skip
    """Return a sheet that covers a `share` of the picture, somewhere on a desk."""
    share = random.uniform(0.3, 0.97) if share is None else share
    turned = random.uniform(-20, 20) if turned is None else turned
    aspect = random.uniform(0.8, 1.25)
    height = SIDE * np.sqrt(share * aspect)
    width = SIDE * np.sqrt(share / aspect)
    if share > 0.6:  # it goes on beyond the picture, as a large one does
        turned = np.clip(turned, -4, 4)
    room = np.maximum((SIDE - np.array([width, height])) / 2, 0)
    centre = SIDE / 2 + random.uniform(-room, room)
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [width / 2, height / 2]
    corners += random.uniform(-0.02, 0.02, (4, 2)) * SIDE  # seen a little from the side
    cos, sin = np.cos(np.radians(turned)), np.sin(np.radians(turned))
    corners = corners @ np.array([[cos, sin], [-sin, cos]]) + centre
    shape = stroked(lambda draw: draw.polygon([tuple(c) for c in corners], fill=255))
    shade = np.roll(ndimage.gaussian_filter(shape, 6), (5, 4), axis=(0, 1))[..., None]
    tall = min(width, height) * random.uniform(0.45, 0.7)
    away = distance(points, centre, tall, turned)
    body = paper(random) if sheet is None else even(sheet)
    body = mixed(body, (pen(away, tall * random.uniform(0.05, 0.1)), ink or ink_colour(random)))
    ground = desk(random) * (1 - 0.35 * shade)
    return as_picture(ground * (1 - shape[..., None]) + body * shape[..., None], random)


def post_it(points: Points, random: Random) -> Image.Image:
    return on_desk(points, random, random.uniform(0.15, 0.6), sheet=(245, 225, 90), ink=(40, 55, 150))


def blackboard(points: Points, random: Random) -> Image.Image:
    share, turned = random.uniform(0.3, 0.8), random.uniform(-5, 5)
    return on_desk(points, random, share, turned, sheet=(40, 60, 50), ink=(235, 235, 225))


def light_table(points: Points, random: Random) -> Image.Image:
    """A dark card with light ink on a light table."""
    picture = np.asarray(on_desk(points, random, random.uniform(0.3, 0.8)))
    return Image.fromarray(255 - picture)


def in_hand(points: Points, random: Random) -> Image.Image:
    picture = np.asarray(on_desk(points, random, random.uniform(0.35, 0.7), random.uniform(-8, 8)), float)
    x, y = SIDE * random.uniform(0.2, 0.8), SIDE
    thumb = stroked(lambda draw: draw.ellipse((x - 45, y - 130, x + 45, y + 60), fill=255))
    return as_picture(mixed(picture, (thumb, (205, 150, 120))), random, 0)


def flash(points: Points, random: Random) -> Image.Image:
    """Dark corners, and a bright spot beside the digit or on it."""
    digit = Digit(points, random)
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    vignette = 1 - random.uniform(0.5, 0.7) * np.square(np.hypot(x, y)) / 2
    at = random.uniform(-0.5, 0.5, 2)
    spot = np.exp(-np.square(np.hypot(x - at[0], y - at[1]) / random.uniform(0.25, 0.45)))
    lit = mixed(paper(random) * 0.8, (digit.ink, ink_colour(random))) * vignette[..., None]
    return as_picture(lit + 110 * spot[..., None], random)


def shadowed(points: Points, random: Random) -> Image.Image:
    """The hard shadow of a hand and a telephone: straight sides, like a sheet's."""
    body = mixed(paper(random), (Digit(points, random).ink, ink_colour(random)))
    corner = random.uniform(0.2, 0.8, 2) * SIDE
    turned = random.uniform(-0.3, 0.3)
    y, x = np.mgrid[:SIDE, :SIDE]
    x, y = x - corner[0], y - corner[1]
    is_dark = (x * np.cos(turned) + y * np.sin(turned) > 0) & (y * np.cos(turned) - x * np.sin(turned) > 0)
    dark = ndimage.gaussian_filter(is_dark.astype(float), random.uniform(1, 5))
    return as_picture(body * (1 - random.uniform(0.25, 0.45) * dark[..., None]), random)


def drawing_app(points: Points, random: Random, is_dark: bool) -> Image.Image:
    """A screenshot: a canvas below a bar of buttons, beside a bar of tools."""
    greys = (32, 58, 200, 240) if is_dark else (255, 226, 80, 20)
    canvas, bar, mark, ink = ((grey, grey, grey) for grey in greys)
    digit = Digit(points, random, 0.35, 0.5)
    high, wide = int(random.uniform(24, 48)), int(random.uniform(20, 40))
    bars = np.zeros((SIDE, SIDE))
    bars[:high], bars[:, :wide] = 1, 1

    def buttons(draw: ImageDraw.ImageDraw) -> None:
        for x in range(12, SIDE - 20, 40):
            draw.ellipse((x, high / 2 - 6, x + 12, high / 2 + 6), fill=255)
        for y in range(high + 12, SIDE // 2, 30):
            draw.rectangle((wide / 2 - 6, y, wide / 2 + 6, y + 12), fill=255)

    layers = ((bars, bar), (stroked(buttons), mark), (np.where(bars > 0, 0, digit.ink), ink))
    return as_picture(mixed(even(canvas), *layers), random, 0)


def figure(points: Points, random: Random, is_dark: bool) -> Image.Image:
    """What plt.imshow shows: a picture with axes, on a white page."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    ink = Digit(points, random, 0.5, 0.75).ink
    small = np.asarray(Image.fromarray((255 * ink).astype(np.uint8)).resize((28, 28), Image.Resampling.BOX))
    page = Figure(figsize=(4.8, 4.8), dpi=100)
    page.add_subplot().imshow(small, cmap="gray" if is_dark else "gray_r")
    canvas = FigureCanvasAgg(page)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


# What is not the digit


Shapes = Callable[[Digit, Random, ImageDraw.ImageDraw], None]


def beside(shapes: Shapes, high: float = 0.5) -> Callable[[Points, Random], Image.Image]:
    """Return a kind of picture with lines that `shapes` draws around a digit, in the digit's ink."""

    def kind(points: Points, random: Random) -> Image.Image:
        digit, ink = Digit(points, random, 0.3, high), ink_colour(random)
        drawn = stroked(lambda draw: shapes(digit, random, draw))
        return as_picture(mixed(paper(random), (drawn, ink), (digit.ink, ink)), random)

    return kind


def circle(digit: Digit, random: Random, draw: ImageDraw.ImageDraw) -> None:
    x, y = (digit.left + digit.right) / 2, (digit.top + digit.bottom) / 2
    reach = 0.5 * np.hypot(digit.right - digit.left, digit.bottom - digit.top) * random.uniform(1.1, 1.3)
    wide, tall = reach * random.uniform(0.9, 1.1), reach * random.uniform(0.95, 1.1)
    draw.ellipse((x - wide, y - tall, x + wide, y + tall), outline=255, width=max(round(0.6 * digit.width), 2))


def underline(gap: float, count: int = 1) -> Shapes:
    def shapes(digit: Digit, random: Random, draw: ImageDraw.ImageDraw) -> None:
        reach = digit.height * random.uniform(0.1, 0.3)
        width = max(digit.width * random.uniform(0.4, 0.9), 2)
        for number in range(count):
            y = digit.bottom + gap * digit.height * random.uniform(0.8, 1.4) + number * 2.5 * width
            y -= digit.width * 0.6 if gap <= 0 else 0
            lean = random.uniform(-0.04, 0.04) * digit.height
            draw.line((digit.left - reach, y - lean, digit.right + reach, y + lean), fill=255, width=round(width))

    return shapes


def ruled(digit: Digit, random: Random, draw: ImageDraw.ImageDraw) -> None:
    """Dark lines across the sheet, one of which the digit stands on, or nearly."""
    step = digit.height * random.uniform(0.9, 1.5)
    first = digit.bottom + random.uniform(-0.05, 0.1) * digit.height
    width = max(round(0.25 * digit.width), 1)
    for number in range(-8, 9):
        draw.line((0, first + number * step, SIDE, first + number * step + 3), fill=255, width=width)


def box(touches: bool) -> Shapes:
    """Return what draws a printed box, one side of which the digit `touches`, or none."""

    def shapes(digit: Digit, random: Random, draw: ImageDraw.ImageDraw) -> None:
        gaps = digit.height * random.uniform(0.08, 0.3, 4)
        width = round(max(digit.width * random.uniform(0.3, 0.7), 2))
        if touches:
            gaps[random.integers(4)] = -0.2 * digit.width
        left, top, right, bottom = gaps
        corners = (digit.left - left, digit.top - top, digit.right + right, digit.bottom + bottom)
        draw.rectangle(corners, outline=255, width=width)

    return shapes


def comb(digit: Digit, random: Random, draw: ImageDraw.ImageDraw) -> None:
    """A field of a form: a line below, and ticks up from it on both sides, cut out as it is."""
    gap = digit.height * random.uniform(0.06, 0.15)
    left, right, bottom = digit.left - gap, digit.right + gap, digit.bottom + gap
    width, tick = round(max(0.4 * digit.width, 2)), digit.height * random.uniform(0.25, 0.45)
    draw.line((left - 3 * gap, bottom, right + 3 * gap, bottom), fill=255, width=width)
    for x in (left, right):
        draw.line((x, bottom - tick, x, bottom), fill=255, width=width)


def axes(digit: Digit, random: Random, draw: ImageDraw.ImageDraw) -> None:
    gap = digit.height * random.uniform(0.08, 0.2)
    left, bottom, width = digit.left - gap, digit.bottom + gap, round(max(0.4 * digit.width, 2))
    draw.line((left, digit.top - gap, left, bottom, digit.right + gap, bottom), fill=255, width=width)


def holes(digit: Digit, random: Random, draw: ImageDraw.ImageDraw) -> None:
    for y in (0.15, 0.5, 0.85):
        draw.ellipse((4, SIDE * y - 14, 32, SIDE * y + 14), fill=255)


# Strokes


def hollow(points: Points, random: Random) -> Image.Image:
    digit = Digit(points, random, 0.45, 0.65)
    wide = digit.height * random.uniform(0.12, 0.18)
    edge = np.clip(wide * random.uniform(0.08, 0.14) - np.abs(digit.away - wide / 2) + 0.5, 0, 1)
    return as_picture(mixed(paper(random), (edge, ink_colour(random))), random)


def coloured(colours: Sequence[Colour], ground: Colour, high: float = 0.6) -> Callable[[Points, Random], Image.Image]:
    """Return a kind whose strokes change their colour from top to bottom."""

    def kind(points: Points, random: Random) -> Image.Image:
        digit = Digit(points, random, 0.35, high)
        y = np.mgrid[:SIDE, :SIDE][0]
        place = np.clip((y - digit.top) / (digit.bottom - digit.top), 0, 0.999) * len(colours)
        ink = np.array(colours, float)[place.astype(int)]
        share = digit.ink[..., None]
        return as_picture(even(ground) * (1 - share) + share * ink, random)

    return kind


def pencil(points: Points, random: Random) -> Image.Image:
    """A pale line that comes and goes."""
    digit = Digit(points, random)
    ink = pen(digit.away, digit.height * random.uniform(0.02, 0.04))
    pressure = ndimage.gaussian_filter(random.normal(0, 1, (SIDE, SIDE)), 8)
    pressure = np.clip(0.65 + 0.35 * pressure / pressure.std(), 0.25, 1)
    return as_picture(mixed(paper(random), (ink * pressure, (150, 150, 155))), random, 2)


def thin(points: Points, random: Random) -> Image.Image:
    return as_picture(mixed(paper(random), (pen(Digit(points, random).away, 2.0), ink_colour(random))), random)


def fine_liner(points: Points, random: Random) -> Image.Image:
    digit = Digit(points, random)
    return as_picture(mixed(paper(random), (pen(digit.away, 0.035 * digit.height), ink_colour(random))), random)


def bold(points: Points, random: Random) -> Image.Image:
    digit = Digit(points, random)
    return as_picture(mixed(paper(random), (pen(digit.away, 0.22 * digit.height), ink_colour(random))), random)


def tiny(points: Points, random: Random) -> Image.Image:
    digit = Digit(points, random, 0.6, 0.75)
    ink = Image.fromarray((255 * pen(digit.away, 0.15 * digit.height)).astype(np.uint8))
    share = np.asarray(ink.resize((8, 8), Image.Resampling.BOX))
    return Image.fromarray(255 - share if random.integers(2) else share)


def turned(points: Points, random: Random) -> Image.Image:
    angle = random.choice([-25, 25])
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    return plain(points @ np.array([[cos, sin], [-sin, cos]]), random)


def moving(points: Points, random: Random) -> bytes:
    """A GIF in which the digit is drawn from nothing, top first."""
    digit, ground = Digit(points, random), even((255, 255, 255))
    y = np.mgrid[:SIDE, :SIDE][0]
    drawn = [digit.ink * (y < part) for part in np.linspace(0, SIDE, 6)]
    frames = [as_picture(mixed(ground, (ink, (20, 20, 20))), random, 0) for ink in drawn]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=100)
    return file.getvalue()


RAINBOW = [(230, 30, 30), (250, 160, 20), (240, 230, 30), (40, 180, 60), (30, 80, 230), (140, 40, 200)]
KINDS: dict[str, Callable[[Points, Random], Image.Image | bytes]] = {
    "plain": plain,
    "sheet on a desk": on_desk,
    "sheet on a desk, 3 to 10% desk": lambda p, r: on_desk(p, r, r.uniform(0.9, 0.97), r.uniform(-2, 2)),
    "sheet on a desk, 70% desk": lambda p, r: on_desk(p, r, 0.3),
    "yellow post-it, blue ink, on a desk": post_it,
    "slate on a desk": blackboard,
    "dark card on a light table": light_table,
    "sheet held by a thumb": in_hand,
    "dark corners and a flash": flash,
    "shadow with straight sides": shadowed,
    "drawing app, dark": lambda p, r: drawing_app(p, r, True),
    "drawing app, light": lambda p, r: drawing_app(p, r, False),
    "figure with axes, dark": lambda p, r: figure(p, r, True),
    "figure with axes, light": lambda p, r: figure(p, r, False),
    "circled": beside(circle, high=0.4),
    "underlined": beside(underline(0.1)),
    "underlined, touching": beside(underline(0)),
    "underlined twice": beside(underline(0.1, 2)),
    "dark ruled lines": beside(ruled),
    "printed box": beside(box(touches=False)),
    "printed box, touching": beside(box(touches=True)),
    "cut out of a comb form": beside(comb),
    "between axes": beside(axes),
    "punched holes": beside(holes),
    "hollow": hollow,
    "two colours on dark": coloured([(250, 230, 60), (50, 60, 255)], (15, 15, 20)),
    "rainbow": coloured(RAINBOW, (250, 250, 250)),
    "pale pencil": pencil,
    "pen of 2 pixels": thin,
    "fine liner": fine_liner,
    "bold": bold,
    "8×8 pixels": tiny,
    "turned by 25°": turned,
    "GIF of it being drawn": moving,
}


# What is no digit


def scribble(random: Random) -> Points:
    """Return a closed line without a meaning: sums of eight waves each way."""
    time, waves = np.linspace(0, 2 * np.pi, 900), np.arange(1, 9)[:, None]
    sizes = [random.normal(0, waves**-0.4) for _ in range(2)]
    ways = [(size * np.sin(waves * time + random.uniform(0, 6, waves.shape))).sum(axis=0) for size in sizes]
    points = np.stack(ways, axis=1)
    return (points - (points.max(axis=0) + points.min(axis=0)) / 2) / np.ptp(points, axis=0).max()


def pair(random: Random) -> Points:
    """Return two digits side by side."""
    left, right = (written(int(random.integers(10)), random) for _ in range(2))
    points = np.concatenate([left - [left[:, 0].max() + 0.12, 0], right + np.array([0.12 - right[:, 0].min(), 0])])
    return points / max(np.ptp(points[:, 0]), 1)


LETTERS: Sequence[Sequence[Points]] = (  # that no digit looks like
    [path((-0.35, 0.5), (0, -0.5), (0.35, 0.5)), path((-0.2, 0.15), (0.2, 0.15))],  # A
    [path((0.3, -0.5), (-0.3, -0.5), (-0.3, 0.5), (0.3, 0.5)), path((-0.3, 0), (0.2, 0))],  # E
    [path((0.3, -0.5), (-0.3, -0.5), (-0.3, 0.5)), path((-0.3, 0), (0.2, 0))],  # F
    [path((-0.3, -0.5), (-0.3, 0.5)), path((0.3, -0.5), (0.3, 0.5)), path((-0.3, 0), (0.3, 0))],  # H
    [path((-0.3, -0.5), (-0.3, 0.5)), path((0.3, -0.5), (-0.3, 0.05), (0.3, 0.5))],  # K
    [path((-0.4, 0.5), (-0.4, -0.5), (0, 0.2), (0.4, -0.5), (0.4, 0.5))],  # M
    [path((-0.35, 0.5), (-0.35, -0.5), (0.35, 0.5), (0.35, -0.5))],  # N
    [path((-0.3, 0.5), (-0.3, -0.5)), arc(-0.28, -0.24, 0.9, 0.52, -90, 90), path((-0.1, 0.02), (0.3, 0.5))],  # R
    [path((-0.4, -0.5), (0.4, -0.5)), path((0, -0.5), (0, 0.5))],  # T
    [path((-0.45, -0.5), (-0.22, 0.5), (0, -0.2), (0.22, 0.5), (0.45, -0.5))],  # W
    [path((-0.35, -0.5), (0.35, 0.5)), path((0.35, -0.5), (-0.35, 0.5))],  # X
    [path((-0.35, -0.5), (0, 0), (0.35, -0.5)), path((0, 0), (0, 0.5))],  # Y
)
NO_DIGITS: dict[str, Callable[[Random], Points]] = {
    "two digits": pair,
    "a letter": lambda random: np.concatenate(LETTERS[int(random.integers(len(LETTERS)))]),
    "a scribble": scribble,
}
