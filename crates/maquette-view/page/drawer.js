// The lower part of the page: a node's serial console, or its screen.

import { allowStyles } from "./styles.js";

const element = id => document.getElementById(id);
const drawer = element("drawer");
const body = element("drawer-body");
let close = null;
let before = null;

function socket(path) {
  const address = new URL(path, document.baseURI);
  address.protocol = "ws:";
  return address.href;
}

function open(title) {
  shut();
  before = document.activeElement;
  drawer.hidden = false;
  element("drawer-title").textContent = title;
  say("connecting …");
}

function shut() {
  close?.();
  close = null;
  body.replaceChildren();
  drawer.hidden = true;
}

function say(text) {
  element("drawer-said").textContent = text;
}

const how = types => types ? "connected" : "connected, look only: `maquette view --allow-changes` lets you type";

export async function openConsole(node, types) {
  open(`Console of ${node}`);
  // It may be left, or another opened, while this one is on its way.
  let ended = false;
  close = () => { ended = true; };
  allowStyles();
  const [{ Terminal }, { FitAddon }] = await Promise.all([
    import("../vendor/xterm/xterm.mjs"), import("../vendor/addon-fit/addon-fit.mjs"),
  ]);
  if (ended) return;
  const terminal = new Terminal({
    disableStdin: !types, cursorBlink: types, scrollback: 5000, screenReaderMode: false, fontSize: 13,
    fontFamily: 'ui-monospace, "DejaVu Sans Mono", monospace',
  });
  const fit = new FitAddon();
  terminal.loadAddon(fit);
  terminal.open(body);
  fit.fit();
  // Keys that leave the console; everything else is the node's.
  terminal.attachCustomKeyEventHandler(event => !(event.key === "Escape" && event.shiftKey));
  const line = new WebSocket(socket(`console/${encodeURIComponent(node)}`));
  line.binaryType = "arraybuffer";
  line.onopen = () => say(`${how(types)}; Shift+Esc leaves it`);
  line.onmessage = event => terminal.write(new Uint8Array(event.data));
  line.onclose = event => say(event.reason || "the connection is lost");
  terminal.onData(text => line.readyState === WebSocket.OPEN && types && line.send(new TextEncoder().encode(text)));
  terminal.onBinary(text => types && line.send(Uint8Array.from(text, char => char.charCodeAt(0))));
  const watch = new ResizeObserver(() => fit.fit());
  watch.observe(body);
  terminal.focus();
  close = () => {
    watch.disconnect();
    line.onclose = null;
    line.close();
    terminal.dispose();
  };
}

export async function openScreen(node, types) {
  open(`Screen of ${node}`);
  let ended = false;
  close = () => { ended = true; };
  try {
    const path = encodeURIComponent(node);
    const [{ default: RFB }, answer] = await Promise.all([
      import("../vendor/novnc/core/rfb.js"), fetch(`screen-password/${path}`),
    ]);
    const { password, error } = await answer.json();
    if (error) throw new Error(error);
    if (ended) return;
    // The reason that a server closes a web socket with is not told by the library.
    const line = new WebSocket(socket(`screen/${path}`));
    let reason = "";
    line.addEventListener("close", event => { reason = event.reason; say(reason || "the connection is lost"); });
    const screen = new RFB(body, line, { credentials: { password: password ?? "" }, shared: true });
    screen.viewOnly = !types;
    screen.scaleViewport = true;
    screen.background = "#000000";
    screen.addEventListener("connect", () => { say(how(types)); if (types) screen.focus(); });
    screen.addEventListener("disconnect", () => say(reason || "the screen was closed"));
    screen.addEventListener("securityfailure", event => say(event.detail.reason ?? "the password is refused"));
    close = () => { say(""); screen.disconnect(); };
  } catch (error) {
    say(error.message);
  }
}

function leave() {
  shut();
  before?.focus?.();
}

element("drawer-close").addEventListener("click", leave);
document.addEventListener("keydown", event => {
  const leaves = event.key === "Escape" && (event.shiftKey || !body.contains(document.activeElement));
  if (!drawer.hidden && leaves) leave();
});
