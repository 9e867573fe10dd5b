// Making elements. Strings become text nodes: nothing that came with the data is ever parsed as HTML.
const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [k, v] of Object.entries(value)) node.style.setProperty(k, v);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

export const el = (tag, attributes = {}, ...children) =>
  fill(document.createElement(tag), attributes, children);

export const svg = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS(SVG, tag), attributes, children);

// A button that stays pressed; `change` is told the new state.
export function toggle(text, pressed, change) {
  const button = el("button", { class: "toggle", type: "button", "aria-pressed": String(pressed) }, text);
  button.addEventListener("click", () => {
    const now = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(now));
    change(now);
  });
  return button;
}

// A row of buttons of which exactly one is pressed.
export function choice(label, options, chosen, change) {
  const buttons = options.map(([value, text]) =>
    el("button", { type: "button", "aria-pressed": String(value === chosen), "data-value": value,
      onclick: () => {
        for (const b of buttons) b.setAttribute("aria-pressed", String(b.dataset.value === value));
        change(value);
      } }, text));
  return el("div", { class: "choice", role: "group", "aria-label": label }, buttons);
}

export function panel(name, title, tools, ...body) {
  const grow = el("button", { class: "grow", type: "button", "aria-label": `Enlarge: ${title}`, title: "Enlarge" }, "⤢");
  const section = el("section", { class: `panel ${name}` },
    el("header", {}, el("h2", {}, title), el("div", { class: "tools" }, tools, grow)), ...body);
  grow.addEventListener("click", () => {
    const large = section.classList.toggle("large");
    grow.setAttribute("aria-label", `${large ? "Shrink" : "Enlarge"}: ${title}`);
    grow.textContent = large ? "⤡" : "⤢";
  });
  return section;
}

export const plural = (n, one, many = `${one}s`) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
