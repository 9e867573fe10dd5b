// The picture with masks, boxes and, for the selected question, the measured segment over it.
import { choice, el, panel, svg, toggle } from "./dom.js";
import { EDGES, colour, distance, inkOn, mask, nameOf, projectLine, rgb } from "./data.js";

const FILL = 96 / 255, FILL_CHOSEN = 132 / 255;

function layer(pixels, width, height, hex) {
  const [r, g, b] = rgb(hex);
  const ink = new Uint32Array(new Uint8ClampedArray([r, g, b, 255]).buffer)[0];
  const reach = Math.max(1, Math.round(width / 480));
  const fill = new ImageData(width, height), line = new ImageData(width, height);
  const fillAt = new Uint32Array(fill.data.buffer), lineAt = new Uint32Array(line.data.buffer);
  let sumX = 0, sumY = 0, count = 0;
  for (let y = 0, at = 0; y < height; y++) for (let x = 0; x < width; x++, at++) {
    if (!pixels[at]) continue;
    sumX += x; sumY += y; count++;
    fillAt[at] = ink;
    const inside = x >= reach && x < width - reach && pixels[at - reach] && pixels[at + reach]
      && pixels[at - reach * width] && pixels[at + reach * width];
    if (!inside) lineAt[at] = ink;
  }
  return { fill: canvasOf(fill), line: canvasOf(line), count, middle: count ? middleOf(pixels, width, sumX / count, sumY / count) : null };
}

function canvasOf(data) {
  const canvas = new OffscreenCanvas(data.width, data.height);
  canvas.getContext("2d").putImageData(data, 0, 0);
  return canvas;
}

// The mask's pixel nearest to its centroid, so that a badge stands on the object even when it is bent.
function middleOf(pixels, width, cx, cy) {
  let best = Infinity, at = 0;
  for (let i = 0; i < pixels.length; i++) {
    if (!pixels[i]) continue;
    const d = (i % width - cx) ** 2 + (Math.floor(i / width) - cy) ** 2;
    if (d < best) { best = d; at = i; }
  }
  return [at % width, Math.floor(at / width)];
}

function boxLines(scene, object, index) {
  const far = object.corners.map((c) => distance(c, [0, 0, 0])).reduce((best, d, i, all) => (d > all[best] ? i : best), 0);
  const lines = EDGES.map(([a, b]) => {
    const ends = projectLine(scene.camera, object.corners[a], object.corners[b]);
    return ends && svg("line", { x1: ends[0][0], y1: ends[0][1], x2: ends[1][0], y2: ends[1][1],
      class: a === far || b === far ? "hidden" : null });
  });
  return svg("g", { class: "box", "data-object": index, stroke: colour(index) }, lines);
}

const percent = (value) => `${(100 * value).toFixed(3)}%`;

export function picturePanel(scene, image, selection) {
  const [width, height] = image ? [image.naturalWidth, image.naturalHeight]
    : [Math.min(960, scene.width), Math.round(scene.height * Math.min(1, 960 / scene.width))];
  const canvas = el("canvas", { class: "masks", width, height });
  const context = canvas.getContext("2d");
  const masks = scene.objects.map((o, i) => {
    if (!o.segmentation) return null;
    const pixels = mask(o.segmentation, width, height);
    return { pixels, ...layer(pixels, width, height, colour(i)) };
  });
  const boxes = scene.objects.map((o, i) => (o.corners ? boxLines(scene, o, i) : null));
  const measured = svg("g", { class: "segment" });
  const drawing = svg("svg", { viewBox: `-0.5 -0.5 ${scene.width} ${scene.height}`, preserveAspectRatio: "none", "aria-hidden": "true" },
    boxes, measured);
  const labels = el("div", { class: "labels" });
  const stage = el("div", { class: "stage", style: { "--ratio": scene.width / scene.height } },
    image ? el("img", { src: image.src, alt: scene.caption ?? `Picture of scene ${scene.id}` })
      : el("p", { class: "missing" }, scene.picture.note), canvas, drawing, labels);
  const show = { masks: true, boxes: "selected", names: false };

  const onPicture = ([u, v]) => ({ left: percent((u + 0.5) / scene.width), top: percent((v + 0.5) / scene.height) });

  function drawMasks(chosen) {
    context.clearRect(0, 0, width, height);
    if (chosen) {
      context.globalAlpha = 0.38;
      context.fillStyle = "#0b0f14";
      context.fillRect(0, 0, width, height);
      context.globalCompositeOperation = "destination-out";
      context.globalAlpha = 1;
      for (const i of chosen) if (masks[i]) context.drawImage(masks[i].fill, 0, 0);
      context.globalCompositeOperation = "source-over";
    }
    masks.forEach((m, i) => {
      const on = chosen ? chosen.includes(i) : show.masks;
      if (!m || !on) return;
      context.globalAlpha = chosen ? FILL_CHOSEN : FILL;
      if (show.masks) context.drawImage(m.fill, 0, 0);
      context.globalAlpha = 1;
      context.drawImage(m.line, 0, 0);
    });
    canvas.dataset.highlighted = chosen ? chosen.join(",") : "";
  }

  function badge(object, i, chosen) {
    const [x, y, w, h] = object.bbox;
    const m = masks[i]?.middle;
    const at = m ? [((m[0] + 0.5) / width) * scene.width - 0.5, ((m[1] + 0.5) / height) * scene.height - 0.5] : [x + w / 2, y + h / 2];
    const named = chosen?.includes(i) || (show.names && !chosen);
    if (chosen && !chosen.includes(i)) return null;
    return el("span", { class: named ? "badge named" : "badge", "data-object": i,
      style: { ...onPicture(named ? [x + w / 2, y] : at), background: colour(i), color: inkOn(colour(i)) } },
    el("b", {}, i + 1), named ? ` ${nameOf(object)}` : null);
  }

  function drawSegment({ segment, label }) {
    measured.replaceChildren();
    const ends = segment && projectLine(scene.camera, segment[0], segment[1]);
    if (!ends) return [];
    const [[x1, y1], [x2, y2]] = ends;
    for (const kind of ["casing", "core"]) measured.append(svg("line", { x1, y1, x2, y2, class: kind }));
    for (const [x, y] of ends) for (const kind of ["casing dot", "core dot"])
      measured.append(svg("line", { x1: x, y1: y, x2: x + 0.01, y2: y, class: kind }));
    return label ? [el("span", { class: "segment-label", style: onPicture([(x1 + x2) / 2, (y1 + y2) / 2]) }, label)] : [];
  }

  function draw() {
    const { objects: chosen } = selection.now;
    drawMasks(chosen);
    boxes.forEach((box, i) => {
      const on = chosen ? chosen.includes(i) : show.boxes === "all";
      box?.classList.toggle("on", Boolean(on) && show.boxes !== "none");
      box?.classList.toggle("chosen", Boolean(chosen?.includes(i)));
    });
    labels.replaceChildren(...scene.objects.map((o, i) => badge(o, i, chosen)).filter(Boolean), ...drawSegment(selection.now));
    arrange(labels);
  }

  // The smallest mask under the pointer is the one meant.
  function objectAt(event) {
    const box = stage.getBoundingClientRect();
    const x = Math.floor(((event.clientX - box.left) / box.width) * width);
    const y = Math.floor(((event.clientY - box.top) / box.height) * height);
    const hits = masks.map((m, i) => i).filter((i) => masks[i]?.pixels[y * width + x]);
    return hits.sort((a, b) => masks[a].count - masks[b].count)[0];
  }
  stage.addEventListener("click", (event) => {
    const i = objectAt(event);
    i === undefined ? selection.clear() : selection.object(i);
  });
  selection.follow(draw);
  new ResizeObserver(() => arrange(labels)).observe(stage);
  return panel("picture", "Picture", [
    toggle("Masks", true, (on) => { show.masks = on; draw(); }),
    toggle("Names", false, (on) => { show.names = on; draw(); }),
    el("span", { class: "caption" }, "Boxes"),
    choice("Boxes", [["all", "all"], ["selected", "chosen"], ["none", "none"]], "selected", (value) => { show.boxes = value; draw(); }),
  ], stage, el("p", { class: "note" }, "Click an object, or a question beside."));
}

// Names are pushed back into the picture, and down where one would hide another.
function arrange(labels) {
  const frame = labels.getBoundingClientRect();
  const taken = [];
  for (const label of labels.querySelectorAll(".named")) {
    label.style.translate = "";
    const box = label.getBoundingClientRect();
    const right = Math.max(0, frame.left + 4 - box.left) || Math.min(0, frame.right - 4 - box.right);
    let down = Math.max(0, frame.top + 4 - box.top);
    const hides = (other) => box.left + right < other.right && box.right + right > other.left
      && box.top + down < other.bottom && box.bottom + down > other.top;
    for (let tries = 0; tries < taken.length; tries++) {
      const other = taken.find(hides);
      if (other) down = other.bottom + 3 - box.top;
    }
    label.style.translate = `${right}px ${down}px`;
    taken.push({ left: box.left + right, right: box.right + right, top: box.top + down, bottom: box.bottom + down });
  }
  const length = labels.querySelector(".segment-label");
  if (length) length.style.translate = `0 ${clearStep(length, taken, frame)}px`;
}

// How far the length must move from above its line to stand inside and hide no name.
function clearStep(length, taken, frame) {
  length.style.translate = "";
  const box = length.getBoundingClientRect();
  const free = (step) => box.top + step > frame.top && box.bottom + step < frame.bottom
    && !taken.some((o) => box.left < o.right && box.right > o.left && box.top + step < o.bottom && box.bottom + step > o.top);
  return [0, 36, -26, 62, -52].find(free) ?? 0;
}
