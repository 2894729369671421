// Helpers that create elements, and that write to them only what has changed.

const SVG = "http://www.w3.org/2000/svg";

/** Return a new element with these attributes and children. A string child becomes text. */
export function make(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** Return a new SVG element. */
export function draw(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** Set the text if it differs: most writes would change nothing, and each costs a layout. */
export function write(element, text) {
  if (element.lastText !== text) {
    element.lastText = text;
    element.textContent = text;
  }
}

/** Set or remove an attribute if it differs. */
export function mark(element, name, value) {
  const held = element.getAttribute(name);
  if (value === null) {
    if (held !== null) element.removeAttribute(name);
  } else if (held !== String(value)) {
    element.setAttribute(name, value);
  }
}

export const byId = (id) => document.getElementById(id);
