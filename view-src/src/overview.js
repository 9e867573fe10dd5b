// The first page: what the run made, what it left out and why, and the scenes to look at.
import { el, plural } from "./dom.js";

const number = (n) => n.toLocaleString("en");

const tile = ([name, value]) => el("div", { class: "tile" }, el("strong", {}, number(value)), el("span", {}, name));

function bars(title, rows) {
  const most = Math.max(1, ...rows.map(([, n]) => n));
  const total = rows.reduce((sum, [, n]) => sum + n, 0);
  return el("section", { class: "card" }, el("h2", {}, title, el("small", {}, number(total))),
    rows.length ? el("dl", { class: "bars" }, rows.flatMap(([name, n]) => [
      el("dt", {}, name), el("dd", {}, el("i", { style: { width: `${(100 * n) / most}%` } }), el("b", {}, number(n)))]))
      : el("p", { class: "missing" }, "None."));
}

function skipped(run) {
  const rows = run.skipped.map(({ stage, reason, count, examples }) => el("tr", {}, el("td", {}, el("code", {}, reason)), el("td", {}, stage),
    el("td", { class: "number" }, number(count)), el("td", {}, examples.map(({ id, detail }) => el("div", { class: "example" }, el("b", {}, id), " ", detail)))));
  return el("section", { class: "card wide" }, el("h2", {}, "Left out", el("small", {}, number(run.skipped.reduce((n, row) => n + row.count, 0)))),
    rows.length ? el("div", { class: "scroll" }, el("table", {}, el("thead", {}, el("tr", {}, ["Reason", "Stage", "Count", "Examples"].map((t) => el("th", {}, t)))), el("tbody", {}, rows)))
      : el("p", { class: "missing" }, "Nothing was left out."));
}

const factTable = (run) => el("section", { class: "card wide" }, el("h2", {}, "The run"),
  el("dl", { class: "run" }, run.facts.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])));

const card = (scene, i) => el("a", { class: "thumb", href: `#scene/${i + 1}` },
  scene.thumb ? el("img", { src: scene.thumb, alt: "", loading: "lazy" }) : el("span", { class: "blank" }, "no picture"),
  el("b", {}, scene.id), el("span", {}, `${plural(scene.objects, "object")}, ${plural(scene.questions, "question")}`));

export function overviewPage(run) {
  return el("div", { class: "overview" },
    el("header", { class: "about" }, el("h1", {}, run.title), el("p", {}, run.subtitle)),
    el("div", { class: "tiles" }, run.totals.map(tile)),
    el("section", { class: "scenes" }, el("h2", {}, "Scenes", el("small", {}, run.shown)),
      el("div", { class: "thumbs" }, run.scenes.map(card))),
    el("div", { class: "cards" }, bars("Qualitative questions", run.counts.qualitative), bars("Quantitative questions", run.counts.quantitative),
      run.charts.map(([title, rows]) => bars(title, rows)), skipped(run), factTable(run)));
}
