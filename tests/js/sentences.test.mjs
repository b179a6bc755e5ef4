import assert from "node:assert/strict";
import { test } from "node:test";
import { Scene } from "../../assets/js/explorer/scene.js";
import { leadSentence, namesOf } from "../../assets/js/explorer/sentences.js";
import { run, view } from "./payloads.mjs";

const word = (text, more = {}) => ({ text, lead: false, special: false, part: false, ...more });
const WORDS = [
  word("a"),
  word("cam", { lead: true }),
  word("era"),
  word("."),
  word("ok", { lead: true }),
  word("", { part: true }),
  word("</s>", { special: true }),
];

test("pieces of one word are said as the word", () => {
  assert.deepEqual(namesOf(WORDS, [1, 2]), ["camera"]);
  assert.deepEqual(namesOf(WORDS, [2, 1]), ["camera"]);
  assert.deepEqual(namesOf(WORDS, [2]), ["era"]);
  assert.deepEqual(namesOf(WORDS, [1, 3]), ["cam", "."]);
  assert.deepEqual(namesOf(WORDS, [0, 1, 2, 4]), ["a", "camera", "ok"]);
});

test("tokens of one character have one name, and the end is said apart", () => {
  assert.deepEqual(namesOf(WORDS, [4, 5]), ["ok"]);
  assert.deepEqual(namesOf(WORDS, [5]), []);
  assert.deepEqual(namesOf(WORDS, [4, 5, 6]), ["ok", "end"]);
});

test("the sentence names the words that are held", () => {
  const seen = view({ words: new Set([1, 0]) });
  const said = leadSentence({ scene: new Scene(run()), view: seen, look: {} });
  assert.match(said, /while it wrote “a” \+ “cat” \(/);
});
