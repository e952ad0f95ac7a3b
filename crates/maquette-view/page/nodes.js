// The list of nodes, and what is known of the one that was chosen.

import { openConsole, openScreen } from "./drawer.js";
import { brief, full, kind } from "./kind.js";
import { markChosen } from "./picture.js";

const element = id => document.getElementById(id);
const nodes = new Map();
let mayChange = false;
let current = null;

export function showMay(may) {
  mayChange = may;
  showDetail();
}

function make(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

// Sets a text only if it is another one: who selects or listens is not disturbed.
function say(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

function mark(place, node) {
  place.className = "state-mark";
  place.dataset.kind = kind(node);
  say(place, brief(node));
}

export function showNode(name, node) {
  const before = nodes.get(name);
  nodes.set(name, node);
  const row = before ? rowOf(name) : addRow(name, node.place);
  const [, state, address] = row.firstChild.children;
  mark(state, node);
  say(address, node.address ?? "");
  if (before && before.place !== node.place) place(row, node.place);
  filter(row);
  showCounts();
  if (name === current) showDetail();
}

export function forgetNode(name) {
  nodes.delete(name);
  rowOf(name)?.remove();
  showCounts();
  if (name === current) {
    current = null;
    showDetail();
  }
}

function rows() {
  return [...element("nodes").children];
}

function rowOf(name) {
  return rows().find(row => row.dataset.node === name);
}

function addRow(name, where) {
  const row = make("li");
  row.dataset.node = name;
  const button = make("button");
  button.type = "button";
  // One stop of the tab key for all; arrow keys go on from there.
  button.tabIndex = element("nodes").querySelector("[tabindex='0']") ? -1 : 0;
  button.append(make("span", name), make("span"), make("span", "", "address"));
  button.title = name;
  button.addEventListener("click", () => choose(name));
  row.append(button);
  place(row, where);
  return row;
}

function place(row, where) {
  row.dataset.place = where;
  const after = rows().find(other => other !== row && Number(other.dataset.place) > where);
  element("nodes").insertBefore(row, after ?? null);
}

// Scrolls the list, and nothing else.
function bring(row) {
  const list = element("nodes");
  const [top, bottom] = [row.offsetTop, row.offsetTop + row.offsetHeight];
  if (top < list.scrollTop) list.scrollTop = top;
  if (bottom > list.scrollTop + list.clientHeight) list.scrollTop = bottom - list.clientHeight;
}

function filter(row) {
  const node = nodes.get(row.dataset.node);
  const word = element("filter").value.trim().toLowerCase();
  const words = `${row.dataset.node} ${node?.state} ${node?.role}`.toLowerCase();
  row.hidden = word !== "" && !words.includes(word);
}

function showCounts() {
  const counts = new Map();
  for (const node of nodes.values()) counts.set(node.state, (counts.get(node.state) ?? 0) + 1);
  const parts = [...counts].sort().map(([state, count]) => `${count} ${state}`);
  const all = nodes.size === 1 ? "1 node" : `${nodes.size} nodes`;
  say(element("counts"), parts.length ? `${all}: ${parts.join(", ")}` : all);
  element("no-nodes").hidden = nodes.size > 0;
}

function choose(name) {
  document.dispatchEvent(new CustomEvent("choose", { detail: name }));
}

// Called for a choice in the list and in the picture alike.
export function chosen(name) {
  current = name;
  for (const row of rows()) {
    const is = row.dataset.node === name;
    row.firstChild.setAttribute("aria-current", is ? "true" : "false");
    row.firstChild.tabIndex = is ? 0 : -1;
    if (is) bring(row);
  }
  element("detail-said").textContent = "";
  markChosen(name);
  showDetail();
}

function showDetail() {
  const node = nodes.get(current);
  element("detail").hidden = !node;
  if (!node) return;
  say(element("detail-title"), current);
  const state = element("detail-state");
  mark(state, node);
  say(state, full(node));
  for (const id of ["open-console", "open-screen"]) element(id).disabled = !node.active;
  showFacts(node);
  showInterfaces(node);
}

function showFacts(node) {
  const facts = [
    ["type", node.role],
    ["address", node.address],
    ["login", node.user],
    ["size", `${node.vcpus} vCPU, ${node.memory_mib} MiB`],
    ["up for", node.uptime_s === null ? null : duration(node.uptime_s)],
    ["differs", node.drift.join("; ") || null],
  ];
  const parts = facts.filter(([, value]) => value)
    .flatMap(([name, value]) => [make("dt", name), make("dd", value)]);
  element("detail-facts").replaceChildren(...parts);
}

function duration(seconds) {
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`;
}

function showInterfaces(node) {
  const body = element("detail-interfaces").tBodies[0];
  const focused = body.contains(document.activeElement) ? document.activeElement.dataset.interface : null;
  const rows = node.interfaces.map(nic => {
    const row = make("tr");
    const cable = make("td");
    if (mayChange && node.active) {
      const button = make("button", nic.pulled ? "Plug in" : "Pull");
      button.type = "button";
      button.dataset.interface = nic.name;
      button.setAttribute("aria-label", `${button.textContent} the cable of ${nic.name}`);
      button.addEventListener("click", () => plug(current, nic.name, nic.pulled));
      cable.append(button);
      if (nic.pulled) cable.append(make("span", " pulled", "pulled-word"));
    } else {
      cable.append(make("span", nic.pulled ? "pulled" : "in", nic.pulled ? "pulled-word" : ""));
    }
    row.append(make("td", nic.name), make("td", nic.network), make("td", nic.address ?? ""), cable);
    return row;
  });
  body.replaceChildren(...rows);
  if (focused !== null) body.querySelector(`[data-interface="${CSS.escape(focused)}"]`)?.focus();
}

async function plug(node, nic, up) {
  const said = element("detail-said");
  said.textContent = "…";
  try {
    const answer = await fetch("link", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ node, interface: nic, up }),
    });
    const value = await answer.json();
    said.textContent = value.done ?? value.error;
  } catch {
    said.textContent = "the server does not answer";
  }
}

element("filter").addEventListener("input", () => rows().forEach(filter));
element("open-console").addEventListener("click", () => openConsole(current, mayChange));
element("open-screen").addEventListener("click", () => openScreen(current, mayChange));
element("nodes").addEventListener("keydown", event => {
  const shown = rows().filter(row => !row.hidden).map(row => row.firstChild);
  const here = shown.indexOf(document.activeElement);
  const to = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: shown.length - 1 }[event.key];
  if (to === undefined || here < 0) return;
  event.preventDefault();
  const next = shown[Math.min(Math.max(to, 0), shown.length - 1)];
  shown.forEach(button => { button.tabIndex = button === next ? 0 : -1; });
  next.focus();
});
