// Small help for making elements and for writing to them only what has changed.

const SVG = "http://www.w3.org/2000/svg";

/** Make an element: attributes by name, then children; a string is text. */
export function make(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
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

/** Write text, unless it is there already: most writes would be the same, and each costs a layout. */
export function write(element, text) {
  if (element.lastText !== text) {
    element.lastText = text;
    element.textContent = text;
  }
}

/** Set or remove an attribute, unless it is so already. */
export function mark(element, name, value) {
  const held = element.getAttribute(name);
  if (value === null) {
    if (held !== null) element.removeAttribute(name);
  } else if (held !== String(value)) {
    element.setAttribute(name, value);
  }
}

export const byId = (id) => document.getElementById(id);
