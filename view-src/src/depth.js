// The depth map in colours, near is bright, with a legend in metres and a reading under the pointer.
import { el, panel } from "./dom.js";
import { pixelsOf } from "./data.js";

// Eleven stops of the viridis colour map (CC0), dark to bright.
const STOPS = [[68, 1, 84], [72, 36, 117], [65, 68, 135], [53, 95, 141], [42, 120, 142], [33, 145, 140],
  [34, 168, 132], [68, 191, 112], [122, 209, 81], [189, 223, 38], [253, 231, 37]];

export function shade(t) {
  const at = Math.min(Math.max(t, 0), 1) * (STOPS.length - 1);
  const low = Math.min(Math.floor(at), STOPS.length - 2);
  return STOPS[low].map((value, i) => value + (at - low) * (STOPS[low + 1][i] - value));
}

const valueOf = (code, { low, high }) => low + ((code - 1) / 254) * (high - low);

export function depthPanel(scene, image) {
  if (!image) return panel("depth", "Depth", [], el("p", { class: "missing" }, scene.depth.note));
  const [width, height] = [image.naturalWidth, image.naturalHeight];
  const codes = pixelsOf(image, width, height).data;
  const picture = new ImageData(width, height);
  for (let i = 0; i < codes.length; i += 4)
    picture.data.set(codes[i] ? [...shade(1 - (codes[i] - 1) / 254), 255] : [0, 0, 0, 0], i);
  const canvas = el("canvas", { width, height, role: "img", "aria-label": "Depth map" });
  canvas.getContext("2d").putImageData(picture, 0, 0);
  const reading = el("output", { class: "reading" }, "");
  const stage = el("div", { class: "stage holes", style: { "--ratio": scene.width / scene.height } }, canvas);
  stage.addEventListener("pointermove", (event) => {
    const box = stage.getBoundingClientRect();
    const x = Math.floor(((event.clientX - box.left) / box.width) * width);
    const y = Math.floor(((event.clientY - box.top) / box.height) * height);
    const code = codes[4 * (y * width + x)];
    reading.textContent = code ? `${valueOf(code, scene.depth).toFixed(2)} m` : "no reading";
  });
  stage.addEventListener("pointerleave", () => { reading.textContent = ""; });
  return panel("depth", "Depth", [reading], stage, legend(scene.depth));
}

function legend({ low, high, note }) {
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((t) =>
    el("span", {}, `${(low + t * (high - low)).toFixed(high - low < 2 ? 2 : 1)} m`));
  const stops = STOPS.toReversed().map((c) => `rgb(${c.join(" ")})`).join(", ");
  return el("div", { class: "legend" },
    el("div", { class: "ramp", style: { background: `linear-gradient(90deg, ${stops})` } }),
    el("div", { class: "ticks" }, ticks), note ? el("p", { class: "note" }, note) : null);
}
