/** Making and changing nodes of the page. Every text becomes a text node, never markup. */

import { translateFixed } from "./translate.js";

/**
 * Make a node: el("button", { class: "x", onclick: act, "aria-label": "y" }, "text", node, ...).
 * Attributes and children that are null are left out; a text becomes a text node.
 * @param {string} tag
 * @param {Record<string, any>} [attributes]
 * @param {...(Node | string | null)} children
 * @returns {any} The node; its kind follows from the tag.
 */
export const el = (tag, attributes = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name in node && typeof value !== "string") node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
};

/**
 * The nodes of a widget's template that have a name: `data-part="canvas"` is
 * `partsOf(root).canvas`.
 * @returns {Record<string, any>}
 */
export const partsOf = (root) => {
  translateFixed(root);
  return Object.fromEntries(
    Array.from(root.querySelectorAll("[data-part]"), (node) => [node.dataset.part, node]),
  );
};

/** Replace the children of a node; the keyboard focus stays at the same place inside it. */
export const fill = (node, ...children) => {
  const active = document.activeElement;
  const inside = active !== node && node.contains(active);
  const place = inside ? focusable(node).indexOf(active) : -1;
  node.replaceChildren(...children.filter((child) => child !== null && child !== undefined));
  if (place >= 0) focusable(node)[place]?.focus({ preventScroll: true });
  return node;
};

const focusable = (node) => [
  ...node.querySelectorAll("button, input, select, summary, a[href], [tabindex]"),
];

/** Write a text only where it differs: each write makes the browser compute the layout again. */
export const writeText = (node, text) => {
  const now = String(text);
  if (node.childNodes.length === 1 && node.firstChild.nodeType === Node.TEXT_NODE) {
    if (node.firstChild.data !== now) node.firstChild.data = now;
  } else if (now || node.childNodes.length) node.textContent = now;
};

/** Write an attribute only where it differs, for the same reason. */
export const writeAttribute = (node, name, value) => {
  if (node.getAttribute(name) !== String(value)) node.setAttribute(name, String(value));
};

/**
 * Give a box the height of its content, by script. With `contain: layout size` in CSS, a change inside
 * the box then does not make the browser lay out the page around it. Returns the box.
 */
export const holdHeight = (box) => {
  const measure = () => {
    box.style.height = `${box.firstElementChild.offsetHeight}px`;
  };
  new ResizeObserver(measure).observe(box.firstElementChild);
  return box;
};

/** Scroll to a part of the page unless its beginning is in the upper half of the window. */
export const scrollToPart = (selector) => {
  const part = document.querySelector(selector);
  const top = part ? part.getBoundingClientRect().top : 0;
  if (part && (top < -40 || top > window.innerHeight / 2)) part.scrollIntoView({ block: "start" });
};

/** Save a file on the visitor's machine. */
export const download = (name, blob) => {
  const link = el("a", { href: URL.createObjectURL(blob), download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
};

/**
 * Put a text on the clipboard; resolves to whether that was done. A page that is not served over https
 * or from this machine has no clipboard, and a browser may refuse.
 * @param {string} text @returns {Promise<boolean>}
 */
export const copyText = async (text) => {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
};

/**
 * The browser's own next frame, also while the page is still and others wait (page/still_page.js).
 * @type {(callback: FrameRequestCallback) => number}
 */
export const nextFrame = globalThis.requestAnimationFrame?.bind(globalThis);
