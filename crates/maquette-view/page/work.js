// What is being done, and what would be.

const element = id => document.getElementById(id);
const SIGNS = { create: "+", update: "~", replace: "-/+", delete: "-" };
/* Most lines of a list; a plan of a hundred nodes says how many more there are. */
const MOST = 60;
let who = null;
let run = null;

function make(tag, text, className) {
  const made = document.createElement(tag);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

function lines(list, all, line) {
  const items = all.slice(0, MOST).map(line);
  if (all.length > MOST) items.push(make("li", `… and ${all.length - MOST} more`));
  list.replaceChildren(...items);
}

export function showPlan(plan) {
  element("plan").hidden = !plan || plan.asked === false;
  const changes = plan?.changes ?? [];
  const count = changes.length === 1 ? "1 change" : `${changes.length} changes`;
  element("plan-title").textContent = plan?.error ? "“maquette up” would fail"
    : changes.length ? `“maquette up” would make ${count}` : "All is as the files say";
  const said = element("plan-said");
  said.classList.toggle("error", Boolean(plan?.error));
  said.textContent = plan?.error ?? (changes.length ? "" : "“maquette up” has nothing to do.");
  lines(element("plan-changes"), changes, change => {
    const item = make("li", "");
    item.dataset.op = change.op;
    item.append(make("span", SIGNS[change.op] ?? "?", "op"), `${change.kind} ${change.name}`);
    if (change.reason) item.append(make("span", ` ${change.reason}`, "reason"));
    return item;
  });
}

export function showDrift(drift) {
  element("drift").hidden = !drift?.length;
  lines(element("drift-list"), drift ?? [], found => {
    const item = make("li", `${found.kind} ${found.name}: `);
    item.append(make("span", found.what, "what"));
    return item;
  });
}

export function showChangedBy(name) {
  who = name;
  showWork();
}

export function showRun(value) {
  run = value;
  showWork();
}

function showWork() {
  const going = run && !run.ended;
  element("run").hidden = !who && !going && !run?.failures?.length;
  element("run-title").textContent = who || going ? "At work" : "The last command failed";
  element("run-who").textContent = who ?? run?.command ?? "";
  const bar = element("run-bar");
  bar.hidden = !run || (!going && !who);
  if (run) {
    bar.max = run.steps || 1;
    bar.value = run.done;
    bar.title = `${run.done} of ${run.steps} steps`;
  }
  const failures = (run?.failures ?? []).map(text => make("li", text, "failed"));
  const running = going ? run.running.map(step => {
    const item = make("li", step.title);
    if (step.text) item.append(make("span", ` ${step.text}`, "text"));
    return item;
  }) : [];
  const count = going ? [make("li", `${run.done} of ${run.steps} steps done`, "text")] : [];
  element("run-steps").replaceChildren(...count, ...running, ...failures);
}
