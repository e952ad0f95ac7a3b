// The picture, as `maquette graph` draws it, with what nodes do now.

import { brief, kind } from "./kind.js";

const picture = document.getElementById("picture");
const states = new Map();
let current = null;

export function showPicture(text) {
  const drawn = new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
  if (drawn.localName !== "svg") return;
  const focused = document.activeElement?.closest?.("#picture .node")?.dataset.node;
  drawn.setAttribute("role", "group");
  drawn.setAttribute("aria-label", "Nodes, arrow keys move");
  picture.replaceChildren(document.importNode(drawn, true));
  nodes().forEach((node, place) => {
    node.setAttribute("role", "button");
    node.setAttribute("tabindex", place === 0 ? "0" : "-1");
    const box = node.querySelector("rect");
    const said = document.createElementNS("http://www.w3.org/2000/svg", "text");
    said.setAttribute("class", "state");
    said.setAttribute("text-anchor", "end");
    said.setAttribute("x", Number(box.getAttribute("x")) + Number(box.getAttribute("width")) - 10);
    said.setAttribute("y", Number(box.getAttribute("y")) + 33);
    node.append(said);
    draw(node.dataset.node);
  });
  markChosen(current, false);
  if (focused) find(focused)?.focus();
}

function nodes() {
  return [...picture.querySelectorAll(".node")];
}

function find(name) {
  return picture.querySelector(`.node[data-node="${CSS.escape(name)}"]`);
}

export function showState(name, node) {
  if (node === null) states.delete(name); else states.set(name, node);
  draw(name);
}

function draw(name) {
  const box = find(name);
  if (!box) return;
  const node = states.get(name);
  box.dataset.kind = kind(node);
  const words = brief(node);
  const said = box.querySelector(".state");
  if (said.textContent !== words) said.textContent = words;
  box.setAttribute("aria-label", [name, words, node?.address].filter(Boolean).join(", "));
  for (const nic of node?.interfaces ?? []) {
    const of = `[data-interface="${CSS.escape(nic.name)}"]`;
    box.querySelector(`.port${of}`)?.classList.toggle("pulled", nic.pulled);
    const line = picture.querySelector(`.line[data-node="${CSS.escape(name)}"]${of}`);
    line?.classList.toggle("pulled", nic.pulled);
  }
}

export function markChosen(name, shown = true) {
  current = name;
  nodes().forEach(node => {
    const is = node.dataset.node === name;
    node.classList.toggle("chosen", is);
    node.setAttribute("aria-pressed", is ? "true" : "false");
    if (is && shown) node.scrollIntoView({ block: "nearest", inline: "nearest" });
  });
}

function choose(node) {
  if (states.has(node.dataset.node)) {
    document.dispatchEvent(new CustomEvent("choose", { detail: node.dataset.node }));
  }
}

// The node that an arrow key leads to: the nearest one on that side.
function beside(node, key) {
  const middle = box => {
    const at = box.getBoundingClientRect();
    return { x: at.left + at.width / 2, y: at.top + at.height / 2 };
  };
  const from = middle(node.querySelector("rect"));
  const far = other => {
    const to = middle(other.querySelector("rect"));
    const [x, y] = [to.x - from.x, to.y - from.y];
    const along = { ArrowRight: x, ArrowLeft: -x, ArrowDown: y, ArrowUp: -y }[key];
    const aside = key === "ArrowRight" || key === "ArrowLeft" ? y : x;
    return along > 1 ? along + 3 * Math.abs(aside) : Infinity;
  };
  const others = nodes().filter(other => other !== node && far(other) < Infinity);
  return others.sort((a, b) => far(a) - far(b))[0];
}

picture.addEventListener("click", event => {
  const node = event.target.closest(".node");
  if (node) choose(node);
});
picture.addEventListener("keydown", event => {
  const node = event.target.closest(".node");
  if (!node) return;
  if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    choose(node);
  } else if (event.key.startsWith("Arrow")) {
    event.preventDefault();
    const next = beside(node, event.key);
    if (!next) return;
    nodes().forEach(other => other.setAttribute("tabindex", other === next ? "0" : "-1"));
    next.focus();
    next.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
});
