import assert from "node:assert/strict";
import { test } from "node:test";

globalThis.__tokvizTexts = { Ask: "Fragen" };
globalThis.__tokvizSaid = {
  "{title}: stand-in: {why}.": "{title}: Ersatz: {why}.",
  "no code; no layers": "kein Code; keine Schichten",
  "no training": "kein Training",
};
globalThis.__tokvizFields = { numbers: [], verbatim: [], listed: ["why"], between: "; " };
globalThis.__tokvizOptions = { at_elbow: "am Knick", alpha: "Alpha", layer: "Schicht" };
const { optionName, told } = await import("../../assets/js/base/translate.js");

test("of several reasons each is told, one with a semicolon too", () => {
  const text = "X: stand-in: no code; no layers; my own; no training.";
  assert.equal(told(text), "X: Ersatz: kein Code; keine Schichten; my own; kein Training.");
});

test("an option has its name in the reader's language, and its name in code", () => {
  assert.deepEqual(optionName("at_elbow"), ["am Knick", "at_elbow"]);
  assert.deepEqual(optionName("alpha"), ["Alpha", ""]);
  assert.deepEqual(optionName("of_a_plugin"), ["of a plugin", ""]);
});
