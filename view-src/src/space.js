// The 3D view: cleaned clouds, boxes, the support plane's grid and the measured segment.
import {
  BufferAttribute, BufferGeometry, Color, GridHelper, Group, LineBasicMaterial,
  LineSegments, Mesh, MeshBasicMaterial, PerspectiveCamera, Points, PointsMaterial, Scene, SphereGeometry,
  Vector3, WebGLRenderer,
} from "three";
import { OrbitControls } from "three/addons/controls/OrbitControls.js";
import { LineMaterial } from "three/addons/lines/LineMaterial.js";
import { LineSegments2 } from "three/addons/lines/LineSegments2.js";
import { LineSegmentsGeometry } from "three/addons/lines/LineSegmentsGeometry.js";
import { choice, el, panel, toggle } from "./dom.js";
import { EDGES, colour, inkOn, int16, nameOf, pixelsOf, project, transform, uint16 } from "./data.js";

const ELEVATION = 0.42, TURN = 0.5, FIELD_OF_VIEW = 42;

// Camera-frame metres to the viewer's axes (y up): through the level frame when there is one.
function placer(scene) {
  const m = scene.level_from_camera;
  return m ? (p) => { const [x, y, z] = transform(m, p); return [x, z, -y]; } : ([x, y, z]) => [x, -y, -z];
}

// Points are drawn round: the corners of each square are left out.
function roundPoints(options) {
  const material = new PointsMaterial({ vertexColors: true, transparent: true, ...options });
  material.onBeforeCompile = (shader) => {
    shader.fragmentShader = shader.fragmentShader.replace("#include <clipping_planes_fragment>",
      "if (length(gl_PointCoord - 0.5) > 0.5) discard;\n#include <clipping_planes_fragment>");
  };
  return material;
}

function pointsOf(object) {
  const packed = int16(object.cloud), out = [];
  for (let i = 0; i < packed.length; i += 3)
    out.push([0, 1, 2].map((axis) => object.cloud_origin[axis] + object.cloud_scale * packed[i + axis]));
  return out;
}

function contextPoints(scene) {
  const { grid, camera } = scene;
  const depth = uint16(grid.data), out = [];
  for (let row = 0; row < grid.height; row++) for (let column = 0; column < grid.width; column++) {
    const z = depth[row * grid.width + column] * grid.scale;
    if (!z) continue;
    const u = (column + 0.5) * (scene.width / grid.width) - 0.5, v = (row + 0.5) * (scene.height / grid.height) - 0.5;
    out.push([((u - camera.cx) * z) / camera.fx, ((v - camera.cy) * z) / camera.fy, z]);
  }
  return out;
}

// Colours of points as seen in the picture; grey without one.
function painter(scene, image) {
  if (!image) return () => [0.6, 0.6, 0.6];
  const { data, width, height } = pixelsOf(image, image.naturalWidth, image.naturalHeight);
  const tint = new Color();
  return (p) => {
    const [u, v] = project(scene.camera, p);
    const x = Math.min(width - 1, Math.max(0, Math.floor(((u + 0.5) * width) / scene.width)));
    const y = Math.min(height - 1, Math.max(0, Math.floor(((v + 0.5) * height) / scene.height)));
    const at = 4 * (y * width + x);
    tint.setRGB(data[at] / 255, data[at + 1] / 255, data[at + 2] / 255, "srgb");
    return [tint.r, tint.g, tint.b];
  };
}

function cloud(points, place, paint, size, opacity) {
  const geometry = new BufferGeometry();
  geometry.setAttribute("position", new BufferAttribute(new Float32Array(points.flatMap(place)), 3));
  geometry.setAttribute("color", new BufferAttribute(new Float32Array(points.flatMap(paint)), 3));
  return new Points(geometry, roundPoints({ size, opacity }));
}

function fatLines(pairs, hex, width) {
  const geometry = new LineSegmentsGeometry().setPositions(pairs.flat(2));
  return new LineSegments2(geometry, new LineMaterial({ color: hex, linewidth: width, transparent: true }));
}

const gridStep = (extent) => [0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 5].find((step) => extent / step <= 24) ?? 10;
const say = (step) => (step < 1 ? `${Math.round(100 * step)} cm` : `${step} m`);

function boundsOf(scene, place) {
  const points = scene.objects.flatMap((o) => o.corners ?? []).map(place);
  const low = [0, 1, 2].map((i) => Math.min(...points.map((p) => p[i])));
  const high = [0, 1, 2].map((i) => Math.max(...points.map((p) => p[i])));
  const centre = new Vector3(...low.map((value, i) => (value + high[i]) / 2));
  return { low, high, centre, radius: Math.max(0.02, Math.hypot(...low.map((value, i) => high[i] - value)) / 2) };
}

function frustum(scene, place, length) {
  const corner = (u, v) => place([((u - scene.camera.cx) / scene.camera.fx) * length, ((v - scene.camera.cy) / scene.camera.fy) * length, length]);
  const [o, ...c] = [place([0, 0, 0]), corner(0, 0), corner(scene.width, 0), corner(scene.width, scene.height), corner(0, scene.height)];
  const lines = c.flatMap((p, i) => [...o, ...p, ...p, ...c[(i + 1) % 4]]);
  const geometry = new BufferGeometry().setAttribute("position", new BufferAttribute(new Float32Array(lines), 3));
  return new LineSegments(geometry, new LineBasicMaterial({ color: 0x8892a0 }));
}

class View {
  constructor(scene, image, stage, labels) {
    Object.assign(this, { data: scene, stage, labels, place: placer(scene), paint: painter(scene, image) });
    this.world = new Scene();
    this.bounds = boundsOf(scene, this.place);
    this.camera = new PerspectiveCamera(FIELD_OF_VIEW, scene.width / scene.height, this.bounds.radius / 200, this.bounds.radius * 200);
    this.renderer = new WebGLRenderer({ antialias: true, alpha: true, preserveDrawingBuffer: true });
    this.renderer.setPixelRatio(Math.min(2, devicePixelRatio));
    stage.prepend(this.renderer.domElement);
    this.controls = new OrbitControls(this.camera, this.renderer.domElement);
    this.controls.addEventListener("change", () => this.render());
    this.fill();
    this.aside();
  }

  fill() {
    const size = this.dotSize();
    this.objects = this.data.objects.map((object, i) => object.corners && this.add(object, i, size));
    if (this.data.grid) {
      this.context = cloud(contextPoints(this.data), this.place, this.paint, size, 0.5);
      this.context.renderOrder = -1; // the objects' own points lie on the same surfaces: they win
      this.context.material.depthWrite = false;
      this.world.add(this.context);
    }
    if (this.data.support) this.ground();
    this.world.add(frustum(this.data, this.place, this.bounds.radius * 0.25));
    this.measured = new Group();
    this.world.add(this.measured);
  }

  // As wide as the gaps between the points; three.js reckons sizes for a field of view of 90 degrees.
  dotSize() {
    const { grid, camera, width, objects } = this.data;
    const depths = objects.filter((o) => o.corners).map((o) => o.depth).sort((a, b) => a - b);
    const gap = grid ? (depths[depths.length >> 1] / camera.fx) * (width / grid.width) * 1.5 : this.bounds.radius / 45;
    return gap / Math.tan((FIELD_OF_VIEW * Math.PI) / 360);
  }

  add(object, i, size) {
    const tint = new Color(colour(i));
    const points = cloud(pointsOf(object), this.place, this.paint, size, 1);
    const corners = object.corners.map(this.place);
    const box = fatLines(EDGES.map(([a, b]) => [corners[a], corners[b]]), colour(i), 1.6);
    const own = points.geometry.getAttribute("color").array;
    const flat = Float32Array.from({ length: own.length }, (_, k) => [tint.r, tint.g, tint.b][k % 3]);
    this.world.add(points, box);
    return { points, box, seen: own.slice(), flat, middle: new Vector3(...corners[0]).add(new Vector3(...corners[7])).multiplyScalar(0.5) };
  }

  ground() {
    const { low, high, centre } = this.bounds;
    const extent = 1.5 * Math.max(high[0] - low[0], high[2] - low[2]);
    this.step = gridStep(extent);
    const cells = 2 * Math.ceil(extent / this.step / 2);
    const grid = new GridHelper(cells * this.step, cells, 0x7c8796, 0x7c8796);
    grid.material.transparent = true;
    grid.material.opacity = 0.45;
    const snap = (value) => Math.round(value / this.step) * this.step;
    grid.position.set(snap(centre.x), 0, snap(centre.z));
    this.world.add(grid);
  }

  tint(from) {
    for (const o of this.objects) {
      if (!o) continue;
      o.points.geometry.getAttribute("color").array.set(from === "picture" ? o.seen : o.flat);
      o.points.geometry.getAttribute("color").needsUpdate = true;
    }
    this.render();
  }

  // A little to the side of where the picture was taken, and above.
  aside() {
    const { centre, radius } = this.bounds;
    const back = new Vector3(...this.place([0, 0, 0])).sub(centre).normalize().applyAxisAngle(new Vector3(0, 1, 0), TURN);
    back.y = Math.max(back.y, ELEVATION);
    const reach = radius / Math.sin((FIELD_OF_VIEW * Math.PI) / 360) * 0.85;
    this.look(centre.clone().addScaledVector(back.normalize(), reach), centre, FIELD_OF_VIEW);
  }

  // Where the picture was taken, with its field of view.
  front() {
    const reach = this.bounds.centre.distanceTo(new Vector3(...this.place([0, 0, 0])));
    const fov = (2 * Math.atan(this.data.height / 2 / this.data.camera.fy) * 180) / Math.PI;
    this.look(new Vector3(...this.place([0, 0, 0])), new Vector3(...this.place([0, 0, reach])), fov);
  }

  look(from, at, fov) {
    this.camera.fov = fov;
    this.camera.position.copy(from);
    this.controls.target.copy(at);
    this.controls.update();
    this.resize();
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.stage;
    if (!width || !height) return;
    this.renderer.setSize(width, height, false);
    this.camera.aspect = width / height;
    this.camera.updateProjectionMatrix();
    this.render();
  }

  select({ objects: chosen, segment, label }) {
    this.objects.forEach((o, i) => {
      if (!o) return;
      const on = !chosen || chosen.includes(i);
      o.points.material.opacity = on ? 1 : 0.18;
      o.box.material.opacity = on ? 1 : 0.12;
      o.box.material.linewidth = chosen && on ? 3 : 1.6;
    });
    this.chosen = chosen;
    this.label = label;
    this.drawSegment(segment?.map(this.place));
    this.stage.dataset.highlighted = chosen ? chosen.join(",") : "";
    this.render();
  }

  drawSegment(ends) {
    this.measured.clear();
    this.middle = ends ? new Vector3(...ends[0]).add(new Vector3(...ends[1])).multiplyScalar(0.5) : null;
    if (!ends) return;
    for (const [hex, width, order] of [["#10151c", 7, 8], ["#ffffff", 3.5, 9]]) {
      const line = fatLines([ends], hex, width);
      line.material.depthTest = false;
      line.renderOrder = order;
      this.measured.add(line);
    }
    for (const end of ends) {
      const ball = new Mesh(new SphereGeometry(this.bounds.radius / 60, 16, 12), new MeshBasicMaterial({ color: "#ffffff", depthTest: false, transparent: true }));
      ball.position.set(...end);
      ball.renderOrder = 10;
      this.measured.add(ball);
    }
  }

  render() {
    this.renderer.render(this.world, this.camera);
    const at = (v) => { const p = v.clone().project(this.camera); return p.z < 1 ? { left: `${50 + 50 * p.x}%`, top: `${50 - 50 * p.y}%` } : null; };
    const badges = this.objects.map((o, i) => {
      const style = o && (!this.chosen || this.chosen.includes(i)) && at(o.middle);
      return style && el("span", { class: "badge small", "data-object": i, title: nameOf(this.data.objects[i]),
        style: { ...style, background: colour(i), color: inkOn(colour(i)) } }, el("b", {}, i + 1));
    });
    const middle = this.middle && this.label && at(this.middle);
    this.labels.replaceChildren(...badges.filter(Boolean), ...(middle ? [el("span", { class: "segment-label", style: middle }, this.label)] : []));
  }

  dispose() {
    this.controls.dispose();
    this.world.traverse((node) => { node.geometry?.dispose(); node.material?.dispose(); });
    this.renderer.dispose();
    this.renderer.forceContextLoss();
  }
}

const HAS_WEBGL = Boolean(new OffscreenCanvas(1, 1).getContext("webgl2"));

export function spacePanel(scene, image, selection) {
  const problem = scene.objects.some((o) => o.corners) ? (HAS_WEBGL ? null : "This browser has no WebGL, so the 3D view cannot be drawn.") : "No object of this scene has a place in 3D.";
  if (problem) return { node: panel("space", "3D", [], el("p", { class: "missing" }, problem)), dispose: () => {} };
  const labels = el("div", { class: "labels" });
  const stage = el("div", { class: "stage turn", style: { "--ratio": scene.width / scene.height } }, labels);
  const view = new View(scene, image, stage, labels);
  selection.follow((now) => view.select(now));
  const watch = new ResizeObserver(() => view.resize());
  watch.observe(stage);
  const node = panel("space", "3D", [
    choice("Colours", [["picture", "picture"], ["object", "objects"]], "picture", (from) => view.tint(from)),
    view.context ? toggle("Surroundings", true, (on) => { view.context.visible = on; view.render(); }) : null,
    choice("View", [["aside", "aside"], ["front", "camera"]], "aside", (from) => view[from]()),
  ], stage, el("p", { class: "note" }, view.step ? `Drag to turn. The grid lies on the support surface, ${say(view.step)} a cell.` : "Drag to turn, wheel to come closer."));
  return { node, dispose: () => { watch.disconnect(); view.dispose(); } };
}
