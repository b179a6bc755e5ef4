/** The script that tokviz/view/script.py makes of the modules does what the modules do. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import vm from "node:vm";
import { planKey, plansText } from "../../assets/js/base/links.js";
import { palette } from "../../assets/js/explorer/palette.js";
import { Scene } from "../../assets/js/explorer/scene.js";
import { run, view } from "./payloads.mjs";

const PYTHON = process.env.TOKVIZ_PYTHON || "python3";
const LINK = "from tokviz.view.script import linked; print(linked('page/main.js'))";

const nothing = () => {};
class Observer {
  observe() {}
}

/** The bridge of the linked script in a world with as much of a browser as loading it takes. */
const loaded = () => {
  const text = execFileSync(PYTHON, ["-c", LINK], { encoding: "utf-8" });
  const document = {
    addEventListener: nothing,
    documentElement: {},
    getElementById: () => null,
  };
  const window = {
    requestAnimationFrame: nothing,
    cancelAnimationFrame: nothing,
    location: { hash: "" },
    addEventListener: nothing,
  };
  vm.runInNewContext(text, { window, document, MutationObserver: Observer, atob, performance });
  return window.__tokviz;
};

test("linked modules give the same results as the modules themselves", () => {
  const linked = loaded();
  const plans = [{ method: "fastv", keep: 9, options: { layer: 2 }, prompt: "is it a dog ?" }];
  assert.equal(linked.plansText(plans), plansText(plans));
  assert.equal(linked.planKey(plans[0]), planKey(plans[0]));
  const scene = new linked.Scene(run());
  assert.deepEqual(Array.from(scene.values(view())), Array.from(new Scene(run()).values(view())));
  assert.equal(palette.ramp.length, 256);
});

test("every class that Gradio's widgets name is on the bridge", () => {
  const linked = loaded();
  for (const name of ["Desk", "Examples", "Explorer", "Lanes", "Notice", "Strip", "storedLoader"])
    assert.equal(typeof linked[name], "function", name);
});
