/**
 * The page's texts in the reader's language. The English text is the key; the tables are
 * assets/i18n/*.json, which components/i18n.py puts into the page.
 */

/** @returns {Record<string, string>} English -> the reader's language; none for English. */
const table = () => globalThis.__tokvizTexts || {};

/**
 * A text in the reader's language.
 * @param {string} english With fields in braces: "{count} tokens".
 * @param {Record<string, string | number>} [values] Of the fields.
 */
export const t = (english, values = {}) =>
  (table()[english] ?? english).replace(/\{(\w+)\}/g, (field, name) =>
    name in values ? String(values[name]) : field,
  );

/** Marks a text that `t` gets later, so that the test of the tables finds it. */
export const key = (english) => english;

/** [pattern, English text] of each sentence with fields; made once. @type {[RegExp, string][] | null} */
let patterns = null;

const sentencePatterns = () => {
  patterns ??= (globalThis.__tokvizTold || []).map((english) => {
    const plain = english.replace(/[.*+?^$()|[\]\\]/g, "\\$&");
    return [new RegExp(`^${plain.replace(/\{(\w+)\}/g, "(?<$1>.+?)")}$`), english];
  });
  return patterns;
};

/**
 * A text that the server wrote, in the reader's language. Its sentences with fields are in
 * assets/i18n/told.json; one that is not there stays English.
 * @param {string} text
 */
export const told = (text) => {
  if (!text || !Object.keys(table()).length || table()[text]) return t(text || "");
  for (const [pattern, english] of sentencePatterns()) {
    const found = pattern.exec(text);
    if (found) return t(english, found.groups);
  }
  return text;
};

/** Attributes of a template that are texts. */
const TEXTS = ["aria-label", "aria-roledescription", "title", "placeholder"];

/**
 * Put the fixed texts of a template into the reader's language, once, while nothing else is in it.
 * @param {Element} root
 */
export const translateFixed = (root) => {
  if (!Object.keys(table()).length) return;
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = /** @type {Text} */ (walker.currentNode);
    const text = node.data.trim();
    if (text && table()[text]) node.data = node.data.replace(text, table()[text]);
  }
  for (const node of root.querySelectorAll(TEXTS.map((name) => `[${name}]`).join()))
    for (const name of TEXTS)
      if (node.hasAttribute(name)) node.setAttribute(name, t(node.getAttribute(name)));
};
