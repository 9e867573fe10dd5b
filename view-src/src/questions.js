// The scene's questions with filters; a click selects one, another click lets it go.
import { choice, el, panel, plural } from "./dom.js";
import { colour, metres, nameOf } from "./data.js";

const escape = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

// The text with every name of one of its objects underlined in that object's colour.
function marked(text, question, scene) {
  const names = new Map(question.objects.map((i) => [nameOf(scene.objects[i]).toLowerCase(), i]));
  if (!names.size) return [text];
  const longestFirst = [...names.keys()].sort((a, b) => b.length - a.length);
  const pattern = new RegExp(`(${longestFirst.map(escape).join("|")})`, "giu");
  return text.split(pattern).map((part) => {
    const i = names.get(part.toLowerCase());
    return i === undefined ? part : el("span", { class: "name", style: { "--ink": colour(i) } }, part);
  });
}

// The value or label behind the answer; a label that stands for an object is that object's name.
function exact(q, scene) {
  if (q.value !== null) return q.unit === "m" ? metres(q.value) : `${q.value} ${q.unit ?? ""}`;
  const place = ["A", "B"].indexOf(q.label);
  return place < 0 ? (q.label ?? "") : nameOf(scene.objects[q.objects[place]]);
}

function row(question, index, scene, selection) {
  return el("li", {}, el("button", { type: "button", class: "question", "data-question": index, "aria-pressed": "false",
    onclick: () => selection.question(index) },
  el("span", { class: "ask" }, marked(question.question, question, scene)),
  el("span", { class: "answer" }, marked(question.answer, question, scene)),
  el("span", { class: "facts" }, el("code", {}, question.type),
    el("span", { title: "The exact value or label behind the answer" }, exact(question, scene)))));
}

export function questionsPanel(scene, selection) {
  const wanted = { kind: "all", type: "", text: "" };
  const rows = scene.questions.map((q, i) => row(q, i, scene, selection));
  const texts = scene.questions.map((q) => `${q.question}\n${q.answer}\n${q.type}`.toLowerCase());
  const count = el("span", { class: "caption", role: "status" });
  const list = el("ol", { class: "list", tabindex: "-1" }, rows);
  const nothing = el("p", { class: "missing", hidden: true }, scene.questions.length ? "No question fits these filters." : "No questions were asked of this scene.");

  function filter() {
    let shown = 0;
    scene.questions.forEach((q, i) => {
      const fits = (wanted.kind === "all" || q.kind === wanted.kind) && (!wanted.type || q.type === wanted.type) && texts[i].includes(wanted.text);
      rows[i].hidden = !fits;
      shown += fits;
    });
    count.textContent = shown === rows.length ? plural(shown, "question") : `${shown} of ${plural(rows.length, "question")}`;
    nothing.hidden = shown > 0;
  }

  const types = [...new Set(scene.questions.map((q) => q.type))].sort();
  const tools = el("div", { class: "filters" },
    choice("Kind", [["all", "All"], ["qualitative", "Qualitative"], ["quantitative", "Quantitative"]], "all", (kind) => { wanted.kind = kind; filter(); }),
    el("select", { "aria-label": "Type", onchange: (event) => { wanted.type = event.target.value; filter(); } },
      el("option", { value: "" }, "Every type"), types.map((t) => el("option", { value: t }, t))),
    el("input", { type: "search", placeholder: "Search text", "aria-label": "Search in the questions",
      oninput: (event) => { wanted.text = event.target.value.toLowerCase(); filter(); } }));

  list.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const visible = rows.filter((r) => !r.hidden).map((r) => r.firstChild);
    visible[visible.indexOf(document.activeElement) + step]?.focus();
  });
  selection.follow(({ question }) => rows.forEach((r, i) => r.firstChild.setAttribute("aria-pressed", String(i === question))));
  filter();
  return panel("questions", "Questions", [count], tools, list, nothing);
}
