// Routes, header and keys.
import { el } from "./dom.js";
import { read } from "./data.js";
import { overviewPage } from "./overview.js";
import { scenePage } from "./scene.js";

const run = read("run");
const main = document.querySelector("main");
const last = run.scenes.length;
let leave = () => {};
let here = 0;
let turn = 0;

const pick = el("select", { "aria-label": "Scene", onchange: (event) => go(Number(event.target.value)) },
  el("option", { value: 0 }, "Overview"), run.scenes.map((scene, i) => el("option", { value: i + 1 }, `${i + 1}. ${scene.id}`)));
const back = el("button", { type: "button", "aria-label": "Previous scene", title: "Previous scene (←)", onclick: () => go(here - 1) }, "←");
const next = el("button", { type: "button", "aria-label": "Next scene", title: "Next scene (→)", onclick: () => go(here + 1) }, "→");
document.querySelector("nav").append(el("span", { class: "caption" }, run.shown), back, pick, next);

function go(to) {
  if (to >= 0 && to <= last) location.hash = to ? `scene/${to}` : "";
}

async function show() {
  const [, number = "0", question] = location.hash.match(/^#scene\/(\d+)(?:\/question\/(\d+))?$/) ?? [];
  const mine = ++turn;
  leave();
  leave = () => {};
  here = Math.min(Number(number), last);
  pick.value = here;
  back.disabled = here === 0;
  next.disabled = here === last;
  document.title = here ? `${run.scenes[here - 1].id} – ${run.title}` : `${run.title} – Calipers`;
  if (!here) return main.replaceChildren(overviewPage(run));
  const page = await scenePage(read(`scene-${here}`));
  if (mine !== turn) return page.dispose();
  main.replaceChildren(page.node);
  leave = page.dispose;
  if (question) choose(page, Number(question) - 1);
  page.selection.follow(({ question: q }) =>
    history.replaceState(null, "", q === null ? `#scene/${here}` : `#scene/${here}/question/${q + 1}`));
  main.dataset.ready = String(here);
  return scrollTo(0, 0);
}

function choose(page, index) {
  const row = page.node.querySelector(`[data-question="${index}"]`);
  if (!row) return;
  page.selection.question(index);
  const list = row.closest("ol");
  list.scrollTop = row.offsetTop - list.offsetTop - 60;
}

addEventListener("hashchange", show);
addEventListener("keydown", (event) => {
  if (event.target.matches("input, select") || event.altKey || event.ctrlKey || event.metaKey) return;
  if (event.key === "ArrowLeft") go(here - 1);
  if (event.key === "ArrowRight") go(here + 1);
});
show();
