/** The page scrolls to the part that its address names, once that part is built. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { pageState } from "../../assets/js/base/page_state.js";
import { showNamedPart } from "../../assets/js/page/named_part.js";

/** Build the part "tv-compare" of a page that is scrolled already; how often it is scrolled to. */
const scrolls = (hash, scrollY) => {
  let told = () => {};
  let count = 0;
  const part = { scrollIntoView: () => count++ };
  let built = null;
  globalThis.window = { location: { hash }, scrollY };
  globalThis.document = { getElementById: (id) => (id === "tv-compare" ? built : null) };
  globalThis.MutationObserver = class {
    constructor(tell) {
      told = tell;
    }
    observe() {}
    disconnect() {
      told = () => {};
    }
  };
  Object.assign(pageState, { isEarly: false, paints: 1 });
  showNamedPart();
  told();
  assert.equal(count, 0);
  built = part;
  told();
  told();
  return count;
};

test("once, and not where the visitor or the browser has scrolled", () => {
  assert.equal(scrolls("#tv-compare", 0), 1);
  assert.equal(scrolls("#tv-compare", 300), 0);
  assert.equal(scrolls("#other", 0), 0);
  assert.equal(scrolls("", 0), 0);
});
