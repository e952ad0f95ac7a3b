// xterm.js writes its colours as style elements and style attributes, which the page's policy refuses like any that
// somebody else had put in. The same text is allowed as a style sheet that a script makes.

let allowed = false;

export function allowStyles() {
  if (allowed) return;
  allowed = true;
  const make = document.createElement.bind(document);
  document.createElement = (name, options) => {
    return name === "style" ? withSheet(make("span")) : make(name, options);
  };
  const set = Element.prototype.setAttribute;
  Element.prototype.setAttribute = function (name, value) {
    if (name === "style") this.style.cssText = value; else set.call(this, name, value);
  };
}

// Stands where a style element would; the policy refuses an empty one, too.
function withSheet(element) {
  element.hidden = true;
  const sheet = new CSSStyleSheet();
  document.adoptedStyleSheets.push(sheet);
  Object.defineProperty(element, "textContent", {
    get: () => "",
    set: text => sheet.replaceSync(text),
  });
  const remove = element.remove.bind(element);
  element.remove = () => {
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter(other => other !== sheet);
    remove();
  };
  return element;
}
