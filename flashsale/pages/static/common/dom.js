/** Building pages out of elements. Data becomes text, never markup. */

const SVG = "http://www.w3.org/2000/svg";
const SVG_TAGS = new Set(["svg", "path", "circle", "line", "rect", "g"]);

/**
 * An element. Attributes: `class`, `data-...`, `aria-...` and so on as they are written; `onclick` and the like take
 * functions; a value of true sets the attribute empty; false, null and undefined leave it out. Children are nodes, texts, numbers or
 * lists of them; null, undefined and false are left out.
 * @param {string} tag  may name classes: `p.soft`
 * @param {Record<string, any> | null} [attributes]
 * @param {...any} children
 * @returns {any}
 */
export function h(tag, attributes, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = SVG_TAGS.has(name) ? document.createElementNS(SVG, name) : document.createElement(name);
  if (classes.length) element.setAttribute("class", classes.join(" "));
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === false || value === null || value === undefined) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "class") element.setAttribute("class", [...classes, value].join(" "));
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  append(element, children);
  return element;
}

/**
 * @param {Element} element
 * @param {any[]} children
 */
export function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

/**
 * Puts new children in the place of the old ones.
 * @param {Element} element
 * @param {...any} children
 */
export function replace(element, ...children) {
  element.replaceChildren();
  append(element, children);
}

/**
 * Sets a text if it is another one, so that nothing is announced or selected anew for nothing.
 * @param {Element} element
 * @param {string | number} text
 */
export function setText(element, text) {
  if (element.textContent !== String(text)) element.textContent = String(text);
}

/**
 * Sets or removes an attribute, only if that changes anything.
 * @param {Element} element
 * @param {string} name
 * @param {string | number | boolean | null | undefined} value  true: empty; false, null, undefined: none
 */
export function setAttribute(element, name, value) {
  if (value === false || value === null || value === undefined) element.removeAttribute(name);
  else {
    const text = value === true ? "" : String(value);
    if (element.getAttribute(name) !== text) element.setAttribute(name, text);
  }
}

/**
 * Says something through a live region, once. Two texts in a row that are the same are said twice.
 * @param {Element} region
 * @param {string} text
 */
export function announce(region, text) {
  region.textContent = "";
  // The region has to be seen empty first, or some screen readers stay silent.
  setTimeout(() => {
    region.textContent = text;
  }, 60);
}

/**
 * Moves the focus to a heading or another element that takes none by itself.
 * @param {HTMLElement | null} element
 */
export function focusOn(element) {
  if (!element) return;
  if (!element.hasAttribute("tabindex")) element.setAttribute("tabindex", "-1");
  element.focus({ preventScroll: false });
}
