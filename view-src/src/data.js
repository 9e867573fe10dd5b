// Decoding what calipers.view wrote into the page, and the geometry that drawing needs.

export function read(id) {
  return JSON.parse(document.getElementById(id).textContent);
}

const COLOURS = read("run").colours;
export const colour = (index) => COLOURS[index % COLOURS.length];

export const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

export function inkOn(hex) {
  const [r, g, b] = rgb(hex);
  return 0.299 * r + 0.587 * g + 0.114 * b > 115 ? "#10151c" : "#ffffff";
}

export const metres = (value) => `${value.toFixed(Math.abs(value) >= 100 ? 1 : 3)} m`;

export const nameOf = (object) => object.reference ?? (object.caption || "(no caption)");

function bytes(base64) {
  const text = atob(base64);
  const out = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) out[i] = text.charCodeAt(i);
  return out;
}

export const int16 = (base64) => new Int16Array(bytes(base64).buffer);
export const uint16 = (base64) => new Uint16Array(bytes(base64).buffer);

// The run lengths of a compressed COCO mask: six bits a character, differences to the run before last.
function runs(counts) {
  const out = [];
  for (let at = 0; at < counts.length;) {
    let value = 0, shift = 0, code;
    do {
      code = counts.charCodeAt(at++) - 48;
      value |= (code & 31) << shift;
      shift += 5;
    } while (code & 32);
    if (code & 16 && shift < 32) value |= -1 << shift;
    if (out.length > 2) value += out[out.length - 2];
    out.push(value);
  }
  return out;
}

// A mask as rows of 0 and 1 at the size it is drawn in.
export function mask(rle, width, height) {
  const [rows, columns] = rle.size;
  const full = new Uint8Array(rows * columns);
  let at = 0;
  runs(rle.counts).forEach((length, i) => {
    if (i % 2) full.fill(1, at, at + length);
    at += length;
  });
  const out = new Uint8Array(width * height);
  for (let x = 0; x < width; x++) {
    const column = Math.floor(((x + 0.5) * columns) / width) * rows;
    for (let y = 0; y < height; y++) out[y * width + x] = full[column + Math.floor(((y + 0.5) * rows) / height)];
  }
  return out;
}

const NEAR = 0.02;

export const project = (camera, [x, y, z]) => [(camera.fx * x) / z + camera.cx, (camera.fy * y) / z + camera.cy];

// Both ends of a line in pixels, cut where it passes behind the camera; null when all of it does.
export function projectLine(camera, a, b) {
  if (a[2] < NEAR && b[2] < NEAR) return null;
  const cut = (p, q) => {
    if (p[2] >= NEAR) return p;
    const t = (NEAR - p[2]) / (q[2] - p[2]);
    return p.map((value, i) => value + t * (q[i] - value));
  };
  return [project(camera, cut(a, b)), project(camera, cut(b, a))];
}

// Corner k of a box has bit i set where it lies on the far side along axis i.
export const EDGES = [0, 1, 2, 3, 4, 5, 6, 7].flatMap((k) => [1, 2, 4].filter((bit) => !(k & bit)).map((bit) => [k, k | bit]));

export const distance = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);

// (x, y, z) of the camera frame under a row-major 4x4 matrix.
export const transform = (m, [x, y, z]) => [0, 4, 8].map((r) => m[r] * x + m[r + 1] * y + m[r + 2] * z + m[r + 3]);

export function loadImage(source) {
  return new Promise((resolve, reject) => {
    const image = new Image();
    image.onload = () => resolve(image);
    image.onerror = () => reject(new Error("picture could not be decoded"));
    image.src = source;
  });
}

export function pixelsOf(image, width, height) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}
