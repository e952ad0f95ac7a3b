// Follows the feed, and hands each value to the part of the page that shows it.

import { chosen, showNode, forgetNode, showMay } from "./nodes.js";
import { showPicture, showState } from "./picture.js";
import { showPlan, showDrift, showRun, showChangedBy } from "./work.js";

const element = id => document.getElementById(id);
const known = new Set();

function showView(view) {
  const title = `environment ${view.environment}`;
  element("environment").textContent = title;
  document.title = `${view.environment} – Maquette`;
  element("may").textContent = view.allow_changes ? "changes are allowed" : "look only";
  showMay(view.allow_changes);
}

function showProblem(text) {
  element("problem").textContent = text ?? "";
  element("problem").hidden = !text;
  document.body.classList.toggle("unseen", Boolean(text));
}

const shows = {
  view: value => value && showView(value),
  hypervisor: value => { element("hypervisor").textContent = value ?? ""; },
  problem: showProblem,
  picture: value => value && showPicture(value),
  plan: showPlan,
  drift: showDrift,
  run: showRun,
  changed_by: showChangedBy,
};

function take([name, value]) {
  const node = name.startsWith("node/") ? name.slice(5) : null;
  if (value === null) known.delete(name); else known.add(name);
  if (node !== null) {
    if (value === null) forgetNode(node); else showNode(node, value);
    showState(node, value);
  } else if (name in shows) {
    shows[name](value);
  }
}

function connection(text, lost) {
  element("connection").textContent = text;
  element("connection").classList.toggle("lost", lost);
  // What is shown is from before.
  document.body.classList.toggle("lost", lost);
}

function follow() {
  const events = new EventSource("events");
  events.addEventListener("all", event => {
    const all = JSON.parse(event.data);
    const there = new Set(all.map(([name]) => name));
    for (const name of [...known]) if (!there.has(name)) take([name, null]);
    all.forEach(take);
    connection("live", false);
  });
  events.addEventListener("change", event => take(JSON.parse(event.data)));
  events.onerror = () => {
    connection("the connection is lost; trying again …", true);
    // A server that answers, and with a refusal, is not asked again by the browser.
    if (events.readyState === EventSource.CLOSED) setTimeout(follow, 3000);
  };
}

document.addEventListener("choose", event => chosen(event.detail));
follow();
