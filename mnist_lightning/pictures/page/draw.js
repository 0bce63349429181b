// Draw a digit or give a photo of one, send it, and show what the network answers. Every request goes to this server.

import { photoOf } from "./photo.js";

const SIDE = 280; // of the drawing in its own units, whatever its size on the screen
const PEN = 20; // width of a stroke
const SENT = 200; // longer side of a digit in the picture that is sent, from pen to pen
const MOST_GROWTH = 6; // of a small digit in that picture: a dot stays a dot
const STEP = 7; // of the pen, moved by a key
const PATIENCE = 5000; // milliseconds for an answer
const PULSE = 2000; // milliseconds between two looks whether the server is there
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const NOTHING = { strokes: [], photo: null };

const [drawing, paper, trouble, file, seen, digit, words, remark, spoken, bars, gone, run] = [
  "#drawing", ".paper", "#trouble", "#file", "#seen", "#digit", "#words", "#remark", "#spoken", "#bars", "#gone", "#run",
].map((name) => document.querySelector(name));
const dark = matchMedia("(prefers-color-scheme: dark)");

let strokes = []; // each a list of points [x, y], 0 to SIDE
let photo = null; // what is shown in place of strokes: photo.js
let before = NOTHING; // what "clear" or a photo took away, or the first stroke on a photo: for "undo"
let photosGiven = 0; // also those that are still being opened
let checkpoint = "RUN"; // whose network answers
let classes = []; // the names of its answers
let thing = "digit"; // what one of them is called
let pointer = null; // the mouse button, finger or pen that draws now
const pen = { x: SIDE / 2, y: SIDE / 4, isDown: false, isShown: false, arrows: new Set() }; // moved by keys

// What is drawn

function begin(x, y) {
  if (photo) replace([]);
  else if (!strokes.length) before = NOTHING;
  strokes.push([[x, y]]);
  changed();
}

function extend(x, y) {
  strokes.at(-1).push([x, y]);
  changed();
}

function undo() {
  pointer = null;
  pen.isDown = false;
  if (strokes.length > 1) strokes.pop();
  else [{ strokes, photo }, before] = [before, NOTHING];
  changed();
}

function clear() {
  pointer = null;
  pen.isDown = false;
  if (!isEmpty()) replace([]);
  changed();
}

function replace(newStrokes, newPhoto = null) {
  before = { strokes, photo };
  [strokes, photo] = [newStrokes, newPhoto];
}

function isEmpty() {
  return !strokes.length && !photo;
}

function changed() {
  photosGiven++; // one that is being opened comes too late
  complain("");
  drawing.ariaLabel = photo ? `Drawing area, with the photo ${photo.name}` : "Drawing area";
  if (isEmpty()) show(null);
  paint();
  ask();
}

// On the screen, and as the picture that is sent

function paint() {
  const context = drawing.getContext("2d");
  const ink = getComputedStyle(drawing).color;
  context.setTransform(drawing.width / SIDE, 0, 0, drawing.height / SIDE, 0, 0);
  context.clearRect(0, 0, SIDE, SIDE);
  if (photo) paintPhoto(context, photo);
  paintStrokes(context, strokes, ink);
  if (pen.isShown) paintPen(context, getComputedStyle(drawing).caretColor);
  paper.classList.toggle("drawn", !isEmpty() || pen.isShown);
}

function paintPhoto(context, { canvas, paper }) {
  const scale = SIDE / Math.max(canvas.width, canvas.height);
  const [width, height] = [scale * canvas.width, scale * canvas.height];
  const place = [(SIDE - width) / 2, (SIDE - height) / 2, width, height];
  Object.assign(context, { fillStyle: paper, imageSmoothingQuality: "high" });
  context.fillRect(...place);
  context.drawImage(canvas, ...place);
}

function paintStrokes(context, strokes, ink) {
  Object.assign(context, { strokeStyle: ink, lineWidth: PEN, lineCap: "round", lineJoin: "round" });
  for (const points of strokes) {
    context.beginPath();
    context.moveTo(...points[0]);
    for (let i = 1; i < points.length - 1; i++) {
      const [[x, y], [nextX, nextY]] = [points[i], points[i + 1]];
      context.quadraticCurveTo(x, y, (x + nextX) / 2, (y + nextY) / 2);
    }
    const [x, y] = points.at(-1);
    context.lineTo(points.length > 1 ? x : x + 0.01, y); // a line without length would leave no ink
    context.stroke();
  }
}

function paintPen(context, colour) {
  Object.assign(context, { strokeStyle: colour, fillStyle: colour, lineWidth: 2 });
  context.beginPath();
  context.arc(pen.x, pen.y, PEN / 2 + 2, 0, 2 * Math.PI);
  context.stroke();
  context.beginPath();
  context.arc(pen.x, pen.y, pen.isDown ? PEN / 2 - 3 : 2, 0, 2 * Math.PI);
  context.fill();
}

function picture() {
  if (photo) return photo.blob;
  const canvas = Object.assign(document.createElement("canvas"), { width: SIDE, height: SIDE });
  const context = canvas.getContext("2d");
  context.fillStyle = "white";
  context.fillRect(0, 0, SIDE, SIDE);
  paintStrokes(context, asLarge(strokes), "black");
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

// However small a digit is drawn, its strokes are sent as wide as a large one's: else they would fill its loops.
function asLarge(strokes) {
  const [xs, ys] = [0, 1].map((axis) => strokes.flat().map((point) => point[axis]));
  const [left, top] = [Math.min(...xs), Math.min(...ys)];
  const [width, height] = [Math.max(...xs) - left, Math.max(...ys) - top];
  const growth = Math.min(SENT / Math.max(width, height, 1), MOST_GROWTH);
  const moved = ([x, y]) => [SIDE / 2 + growth * (x - left - width / 2), SIDE / 2 + growth * (y - top - height / 2)];
  return strokes.map((points) => points.map(moved));
}

// By mouse, finger or pen

function place(event) {
  const { left, top, width, height } = drawing.getBoundingClientRect();
  return [((event.clientX - left) / width) * SIDE, ((event.clientY - top) / height) * SIDE];
}

drawing.addEventListener("pointerdown", (event) => {
  if (event.button !== 0 || pointer !== null) return;
  drawing.setPointerCapture(event.pointerId);
  pointer = event.pointerId;
  Object.assign(pen, { isDown: false, isShown: false });
  begin(...place(event));
});

drawing.addEventListener("pointermove", (event) => {
  if (event.pointerId !== pointer) return;
  const between = event.getCoalescedEvents();
  for (const moment of between.length ? between : [event]) extend(...place(moment));
});

for (const end of ["pointerup", "pointercancel"]) {
  drawing.addEventListener(end, (event) => {
    if (event.pointerId !== pointer) return;
    pointer = null;
    changed();
  });
}

// By keys

drawing.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || pointer !== null) return;
  if (event.key in ARROWS) move(event.key);
  else if (event.key === " ") press(event.repeat);
  else if (event.key === "Backspace") undo();
  else if (event.key === "Escape") clear();
  else return;
  event.preventDefault();
});

function move(arrow) {
  pen.arrows.add(arrow); // two at once go aslant
  for (const [x, y] of [...pen.arrows].map((name) => ARROWS[name])) {
    pen.x = Math.min(Math.max(pen.x + STEP * x, 0), SIDE);
    pen.y = Math.min(Math.max(pen.y + STEP * y, 0), SIDE);
  }
  pen.isShown = true;
  if (pen.isDown) extend(pen.x, pen.y);
  else paint();
}

function press(isRepeated) {
  if (isRepeated) return;
  Object.assign(pen, { isDown: !pen.isDown, isShown: true });
  if (pen.isDown) begin(pen.x, pen.y);
  else changed();
}

drawing.addEventListener("keyup", (event) => pen.arrows.delete(event.key));
drawing.addEventListener("focus", () => {
  pen.isShown = drawing.matches(":focus-visible");
  paint();
});
drawing.addEventListener("blur", () => {
  pen.arrows.clear();
  Object.assign(pen, { isDown: false, isShown: false });
  paint();
  speak();
});
document.querySelector("#undo").addEventListener("click", undo);
document.querySelector("#clear").addEventListener("click", clear);

// A photo: dropped on the page, pasted, or chosen

async function give(files) {
  if (files.length !== 1) return complain(files.length ? "Give one picture at a time." : "No picture is in it: give a JPEG or PNG.");
  const turn = ++photosGiven;
  try {
    const opened = await photoOf(files[0]);
    if (turn !== photosGiven) return; // another came, or the drawing went on
    pointer = null;
    Object.assign(pen, { isDown: false, isShown: false });
    replace([], opened);
    changed();
  } catch (error) {
    if (turn === photosGiven) complain(error.message);
  }
}

function complain(text) {
  trouble.textContent = text;
  trouble.hidden = !text;
}

document.addEventListener("dragover", (event) => {
  event.preventDefault();
  event.dataTransfer.dropEffect = "copy";
  paper.classList.add("target");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) paper.classList.remove("target");
});
document.addEventListener("drop", (event) => {
  event.preventDefault(); // else the browser would leave this page for it
  paper.classList.remove("target");
  give(event.dataTransfer.files);
});
document.addEventListener("paste", (event) => give(event.clipboardData.files));
document.querySelector("#photo").addEventListener("click", () => file.click());
file.addEventListener("change", () => {
  give([...file.files]);
  file.value = ""; // so that the same one can be chosen again
});

// The network's answer

let isAsking = false; // a request is in flight: the next one waits for its answer
let isStale = false; // the drawing was changed since that request

async function ask() {
  isStale = true;
  if (isAsking) return;
  isAsking = true;
  try {
    while (isStale && !isEmpty()) {
      isStale = false;
      const response = await request("/predict", { method: "POST", body: await picture() });
      const answer = await response.json();
      if (!isEmpty()) show(answer);
    }
  } catch (error) {
    lose(error);
  } finally {
    isAsking = false;
  }
}

function request(path, options = {}) {
  return fetch(path, { ...options, signal: AbortSignal.timeout(PATIENCE) });
}

function show(answer) {
  const probabilities = answer?.probabilities ?? Array(classes.length).fill(null);
  const order = [...probabilities.keys()].sort((one, other) => probabilities[other] - probabilities[one]);
  const isRead = Number.isInteger(answer?.digit);
  digit.textContent = isRead ? classes[answer.digit] : "?";
  digit.classList.toggle("unknown", !isRead);
  digit.classList.toggle("long", digit.textContent.length > 3);
  const unread = isEmpty() ? `Draw a ${thing}.` : "Nothing to read.";
  words.textContent = isRead ? inWords(probabilities, order) : (answer?.error ?? unread);
  remark.textContent = answer?.remark ?? "";
  speak();
  probabilities.forEach((probability, number) => {
    const row = bars.children[number];
    row.classList.toggle("best", isRead && number === answer.digit);
    row.querySelector(".bar").style.width = `${100 * probability}%`;
    row.querySelector(".percent").textContent = isRead ? `${(100 * probability).toFixed(1)}%` : "–";
  });
  showSeen(answer?.prepared);
}

function inWords(probabilities, [first, second]) {
  const sure = `${classes[first]}, ${percent(probabilities[first])}`;
  return probabilities[first] > 0.99 ? sure : `${sure}; else ${classes[second]}, ${percent(probabilities[second])}`;
}

function percent(probability) {
  if (probability > 0.99) return "over\u00a099%";
  return probability < 0.01 ? "under\u00a01%" : `${Math.round(100 * probability)}%`;
}

// What is read aloud waits until the pen is lifted; an equal sentence is not repeated.
function speak() {
  const said = [words.textContent, remark.textContent].filter(Boolean).join(" ");
  if (pointer !== null || pen.isDown || spoken.textContent === said) return;
  spoken.textContent = said;
}

function showSeen(prepared) {
  const image = new ImageData(28, 28);
  const greys = (prepared ?? []).flat();
  for (let i = 0; i < 28 * 28; i++) image.data.set([greys[i] ?? 0, greys[i] ?? 0, greys[i] ?? 0, 255], 4 * i);
  seen.getContext("2d").putImageData(image, 0, 0);
}

// The server: which run it shows, whether it is there

async function look() {
  try {
    const { name, epochs, accuracy, checkpoint: path, classes: names } = await (await request("/run")).json();
    checkpoint = path;
    if (names.join() !== classes.join()) list(names);
    const right = accuracy === null ? "" : `${(100 * accuracy).toFixed(2)}% of test images right · `;
    run.textContent = `${right}${name}, ${epochs} ${epochs === 1 ? "epoch" : "epochs"} · ${checkpoint}`;
    if (!gone.hidden) ask();
    gone.hidden = true;
  } catch (error) {
    lose(error);
  }
}

function lose(error) {
  const port = location.port === "8000" ? "" : ` --port ${location.port}`;
  if (!isEmpty()) show({ error: "No answer." });
  const what = error.name === "TimeoutError"
    ? "The server is slow to answer. This page goes on asking."
    : `The server has gone. Start it again, and this page goes on: python -m mnist_lightning.serve ${checkpoint}${port}`;
  if (!gone.hidden && gone.textContent === what) return; // else it is read aloud again
  gone.hidden = false;
  gone.textContent = what;
}

async function watch() {
  if (!document.hidden) await look();
  setTimeout(watch, PULSE);
}

// At the start, and when the screen changes

function fit() {
  const side = Math.round(drawing.clientWidth * devicePixelRatio);
  if (drawing.width !== side || drawing.height !== side) Object.assign(drawing, { width: side, height: side });
  paint();
}

function list(names) {
  classes = names;
  thing = names.every((name) => /^\d+$/.test(name)) ? "digit" : names.every((name) => name.length === 1) ? "letter" : "picture";
  document.title = document.querySelector("h1").textContent = `Draw a ${thing}`;
  document.querySelector("#hint").textContent = `${names[0]} to ${names.at(-1)}, with mouse, finger or pen, or as a photo`;
  bars.replaceChildren(...names.map((name) => {
    const row = document.querySelector("#bar").content.cloneNode(true);
    row.querySelector(".label").textContent = name;
    return row;
  }));
  bars.style.setProperty("--name", `${0.6 * Math.max(...names.map((name) => name.length))}rem`);
  bars.classList.toggle("many", names.length > 12);
  show(null);
}

new ResizeObserver(fit).observe(drawing);
dark.addEventListener("change", paint);
watch();
