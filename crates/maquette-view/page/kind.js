// What a state means for somebody who looks: fine, on its way, in need of somebody, or off.
export function kind(node) {
  switch (node?.state) {
    case "ready": case "running": return node.good ? "ready" : "bad";
    case "starting": case "booting": return "waits";
    case "paused": case "shut off": return "off";
    case undefined: return "";
    default: return "bad";
  }
}

// A state with what is wrong with it, in few words. Colour alone would tell nobody why.
export function brief(node) {
  if (!node) return "not built";
  if (node.pulled.length) return "cable pulled";
  return node.drift.length ? `${node.state}, differs` : node.state;
}

// The same with all reasons.
export function full(node) {
  const pulled = node.pulled.length ? `the cable of ${node.pulled.join(", ")} is pulled` : null;
  return [node.state, node.reason, pulled].filter(Boolean).join(": ");
}
