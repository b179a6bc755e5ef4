/**
 * The page's texts in the reader's language. The English text is the key; the tables are
 * assets/i18n/*.json, which components/i18n.py puts into the page.
 */

/** @returns {Record<string, string>} English -> the reader's language; none for English. */
const table = () => window.__tokvizTexts || {};

/**
 * A text in the reader's language.
 * @param {string} english With fields in braces: "{count} tokens".
 * @param {Record<string, string | number>} [values] Of the fields.
 */
export const t = (english, values = {}) =>
  (table()[english] ?? english).replace(/\{(\w+)\}/g, (field, name) =>
    name in values ? String(values[name]) : field,
  );
