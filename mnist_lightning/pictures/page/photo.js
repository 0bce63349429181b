// A photo that is dropped, pasted or chosen: scaled down here, so that little is sent, and turned as its camera says.

const LONGEST = 1024; // pixels of its longer side
const MOST_BYTES = 2 ** 20; // that the server takes
const SMALL = 2 ** 18; // pixels up to which it is sent as it is; a larger one as JPEG
const LIGHT = 128; // mean grey of ink that is for dark paper

// Returns { name, canvas, paper, blob } of a picture's file; throws an Error that says what is wrong with it.
export async function photoOf(file) {
  const canvas = await scaled(file);
  const { isOpaque, paper } = transparency(canvas);
  const kind = isOpaque && canvas.width * canvas.height > SMALL ? "image/jpeg" : "image/png";
  return { name: file.name, canvas, paper, blob: await encoded(canvas, kind) };
}

async function scaled(file) {
  const picture = await decoded(file);
  const [width, height] = [picture.displayWidth ?? picture.width, picture.displayHeight ?? picture.height];
  const scale = Math.min(1, LONGEST / Math.max(width, height));
  const canvas = drawn(picture, Math.max(1, Math.round(scale * width)), Math.max(1, Math.round(scale * height)));
  picture.close();
  return canvas;
}

function drawn(picture, width, height) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, 0, 0, width, height);
  return canvas;
}

async function decoded(file) {
  try {
    return (await lastFrame(file)) ?? (await createImageBitmap(file));
  } catch {
    throw new Error(`${file.name || "It"} ${whatToDo(file)}`);
  }
}

// Of a picture that moves, as a digit that is being drawn, the last frame is read: the first is empty.
async function lastFrame(file) {
  if (!globalThis.ImageDecoder || !["image/gif", "image/webp", "image/png", "image/avif"].includes(file.type)) return null;
  const decoder = new ImageDecoder({ type: file.type, data: await file.arrayBuffer() });
  try {
    await Promise.all([decoder.completed, decoder.tracks.ready]);
    const { frameCount } = decoder.tracks.selectedTrack;
    return frameCount > 1 ? (await decoder.decode({ frameIndex: frameCount - 1 })).image : null;
  } catch {
    return null;
  } finally {
    decoder.close();
  }
}

function whatToDo({ name, type, size }) {
  if (!size) return "is empty.";
  if (/hei[cf]/i.test(type) || /\.(hei[cf]|hif)$/i.test(name)) return "is a HEIC picture, which this browser can't open: save it as JPEG.";
  if (/svg/.test(type)) return "is an SVG drawing: save it as PNG.";
  if (/pdf/.test(type)) return "is a PDF: save the page as PNG.";
  return type.startsWith("image/") ? "can't be opened here: save it as JPEG or PNG." : "is no picture: give a JPEG or PNG.";
}

// Whether all of it is opaque, and the paper that its ink shows on: what is transparent has none.
function transparency(canvas) {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let [grey, opacity] = [0, 0];
  for (let i = 0; i < data.length; i += 4) {
    grey += (data[i + 3] * (data[i] + data[i + 1] + data[i + 2])) / 3;
    opacity += data[i + 3];
  }
  return { isOpaque: 4 * opacity === 255 * data.length, paper: grey > LIGHT * opacity ? "black" : "white" };
}

async function encoded(canvas, kind) {
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, kind, 0.95));
  if (blob.size <= MOST_BYTES) return blob;
  return encoded(drawn(canvas, Math.ceil(canvas.width / 2), Math.ceil(canvas.height / 2)), kind);
}
