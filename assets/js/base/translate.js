/**
 * The page's texts in the reader's language. The English text is the key; the tables are in
 * assets/i18n, which components/i18n.py puts into the page.
 */

/** @returns {Record<string, string>} English -> the reader's language; none for English. */
const table = () => globalThis.__tokvizTexts || {};
/** @returns {Record<string, string>} The same for what the server says. */
const said = () => globalThis.__tokvizSaid || {};

const filled = (text, values) =>
  text.replace(/\{(\w+)\}/g, (field, name) => (name in values ? String(values[name]) : field));

/**
 * A text in the reader's language.
 * @param {string} english With fields in braces: "{count} tokens".
 * @param {Record<string, string | number>} [values] Of the fields.
 */
export const t = (english, values = {}) => filled(table()[english] ?? english, values);

/** Marks a text that `t` gets later, so that the test of the tables finds it. */
export const key = (english) => english;

/** @param {string} text */
const capital = (text) => text.slice(0, 1).toUpperCase() + text.slice(1);

/** Texts that the server says: whole ones by their English text, and those with fields. */
let known = null;

const knownTexts = () => {
  if (known) return known;
  const own = table();
  const all = {
    ...Object.fromEntries((globalThis.__tokvizTold || []).map((one) => [one, own[one]])),
    ...said(),
  };
  const { numbers = [] } = globalThis.__tokvizFields || {};
  const group = (_, name) => `(?<${name}>${numbers.includes(name) ? "[0-9][0-9.,]*" : ".*?"})`;
  const withFields = Object.keys(all).filter((one) => /\{\w+\}/.test(one));
  withFields.sort((a, b) => b.length - a.length);
  known = {
    exact: all,
    whole: new Map(Object.entries(all).map(([english, text]) => [capital(english), text])),
    patterns: withFields.map((english) => {
      const plain = capital(english).replace(/[.*+?^$()|[\]\\]/g, "\\$&");
      return [new RegExp(`^${plain.replace(/\{(\w+)\}/g, group)}$`, "s"), all[english]];
    }),
  };
  return known;
};

/** A whole text, or one with fields; null when no table has it. @returns {string | null} */
const lookedUp = (text) => {
  const { exact, whole, patterns } = knownTexts();
  const wanted = capital(text);
  const same = exact[text] ?? whole.get(wanted);
  if (same !== undefined) return same;
  for (const [pattern, other] of patterns) {
    const found = pattern.exec(wanted);
    if (!found) continue;
    // What stands in a field may be a sentence of the tables itself, such as the reason of a refusal.
    const { verbatim = [], listed = [] } = globalThis.__tokvizFields || {};
    const told = (name, value) => {
      if (verbatim.includes(name)) return value;
      return listed.includes(name) ? reasons(value) : (lookedUp(value) ?? table()[value] ?? value);
    };
    const inner = Object.entries(found.groups).map(([name, value]) => [name, told(name, value)]);
    return filled(other, Object.fromEntries(inner));
  }
  return null;
};

/** A row of reasons; a reason may hold what stands between two itself. @param {string} text */
const reasons = (text) => {
  const { between = "; " } = globalThis.__tokvizFields || {};
  const parts = text.split(between);
  for (let count = parts.length; count > 0; count -= 1) {
    const first = lookedUp(parts.slice(0, count).join(between));
    if (first === null) continue;
    const rest = parts.slice(count).join(between);
    return rest ? first + between + reasons(rest) : first;
  }
  const [own, ...more] = parts; // of a plugin, say: it stays as it is
  return more.length ? own + between + reasons(more.join(between)) : own;
};

/**
 * A text that the server wrote, in the reader's language: as a whole, or else sentence by sentence.
 * What no table has stays English.
 * @param {string} text
 */
export const told = (text) => {
  if (!text || !Object.keys(table()).length) return text || "";
  const whole = lookedUp(text) ?? table()[text];
  if (whole !== undefined) return whole;
  return text
    .split(/(?<=[.!?:]) (?=[A-Z“])/)
    .map((sentence) => lookedUp(sentence) ?? sentence)
    .join(" ");
};

/**
 * The name of an option or of one of its choices in the reader's language, and its name in code where
 * that is another: notes, links and files know it by that.
 * @param {string} name
 * @returns {[string, string]} The second is empty where it adds nothing.
 */
export const optionName = (name) => {
  const known = globalThis.__tokvizOptions?.[name];
  if (known === undefined) return [name.replaceAll("_", " "), ""];
  return [known, known.toLowerCase() === name.toLowerCase() ? "" : name];
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
