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
