import assert from "node:assert/strict";
import { test } from "node:test";
import { cardOf } from "../../assets/js/history/history.js";
import { run } from "./payloads.mjs";

const facts = { methods: ["FastV"], keep: 2, n: 6 };

test("a card names the run and its lane, whatever the run's name holds", () => {
  const card = cardOf(run({ id: "a:b-_c:-1", facts }));
  assert.equal(card.run, "a:b-_c");
  assert.equal(card.lane, -1);
  assert.equal(card.text, "FastV, 2 of 6 tokens");
});

test("a run with all tokens says so", () => {
  assert.equal(cardOf(run({ id: "x:0", facts: { ...facts, methods: [] } })).text, "all 6 tokens");
});
