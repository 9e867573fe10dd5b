// One scene's page. What is selected lives in one place; picture, 3D, objects and questions follow it.
import { el, panel, plural } from "./dom.js";
import { colour, inkOn, loadImage, metres, nameOf } from "./data.js";
import { depthPanel } from "./depth.js";
import { picturePanel } from "./picture.js";
import { questionsPanel } from "./questions.js";
import { spacePanel } from "./space.js";

const NOTHING = { objects: null, question: null, segment: null, label: null };

class Selection {
  constructor(scene) {
    this.scene = scene;
    this.now = NOTHING;
    this.followers = [];
  }

  follow(draw) {
    this.followers.push(draw);
    draw(this.now);
  }

  set(now) {
    this.now = now;
    for (const draw of this.followers) draw(now);
  }

  clear() { this.set(NOTHING); }

  object(i) {
    const { objects, question } = this.now;
    if (question === null && objects?.[0] === i) this.clear();
    else this.set({ ...NOTHING, objects: [i] });
  }

  question(index) {
    if (this.now.question === index) return this.clear();
    const { objects, segment, value, unit } = this.scene.questions[index];
    const label = segment && value !== null && unit === "m" ? metres(value) : null;
    return this.set({ objects, question: index, segment, label });
  }
}

function objectRow(scene, object, i, selection) {
  const size = object.size?.map((value) => value.toFixed(2)).join(" × ");
  const facts = object.corners
    ? [`${size} m`, `${metres(object.depth)} away`, object.reference ? null : `not asked about: ${object.reason ?? "no reason given"}`]
    : [object.reason ?? "not lifted to 3D"];
  return el("li", {}, el("button", { type: "button", class: "object", "data-object": i, "aria-pressed": "false",
    onclick: () => selection.object(i) },
  el("span", { class: "badge still", style: { background: colour(i), color: inkOn(colour(i)) } }, el("b", {}, i + 1)),
  el("span", {}, el("span", { class: "title" }, nameOf(object)), object.role ? el("code", {}, object.role) : null,
    el("span", { class: "facts" }, facts.filter(Boolean).join(" · ")))));
}

function objectsPanel(scene, selection) {
  const rows = scene.objects.map((o, i) => objectRow(scene, o, i, selection));
  selection.follow(({ objects }) => rows.forEach((r, i) => r.firstChild.setAttribute("aria-pressed", String(Boolean(objects?.includes(i))))));
  const axes = scene.level_from_camera ? "width × depth × height" : "width × height × depth";
  return panel("objects", "Objects", [el("span", { class: "caption" }, rows.length ? axes : "")],
    rows.length ? el("ol", { class: "list" }, rows) : el("p", { class: "missing" }, "This scene has no objects."));
}

function facts(scene) {
  const gravity = scene.level_from_camera
    ? `level frame: gravity ${scene.gravity_source ?? "known"}${scene.gravity_confidence === null ? "" : `, confidence ${scene.gravity_confidence.toFixed(2)}`}`
    : "no level frame: gravity unknown, boxes follow the camera";
  return [plural(scene.objects.length, "object"), plural(scene.questions.length, "question"), `${scene.width} × ${scene.height}`,
    `focal length ${scene.camera.fx.toFixed(0)} px (${scene.intrinsics_source})`, gravity,
    scene.support ? "support surface found" : "no support surface"];
}

const image = (part) => (part.source ? loadImage(part.source) : Promise.resolve(null));

export async function scenePage(scene) {
  const selection = new Selection(scene);
  const [picture, depth] = await Promise.all([image(scene.picture), image(scene.depth)]);
  const space = spacePanel(scene, picture, selection);
  const node = el("div", { class: "scene" },
    el("header", { class: "about" }, el("h1", {}, scene.id), el("p", {}, scene.caption ?? ""),
      el("ul", { class: "chips" }, facts(scene).map((text) => el("li", {}, text)))),
    el("div", { class: "views" }, picturePanel(scene, picture, selection), space.node, depthPanel(scene, depth), objectsPanel(scene, selection)),
    questionsPanel(scene, selection));
  return { node, selection, dispose: space.dispose };
}
