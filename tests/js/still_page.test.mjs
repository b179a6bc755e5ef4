import assert from "node:assert/strict";
import { test } from "node:test";
import { Frames } from "../../assets/js/page/still_page.js";

/** A browser whose frames are run by hand, at a time that is set by hand. */
const browser = () => {
  const asked = new Map();
  let number = 0;
  const page = { time: 0, asked };
  page.next = (callback) => {
    asked.set(++number, callback);
    return number;
  };
  page.drop = (id) => asked.delete(id);
  page.draw = () => {
    const due = [...asked.values()];
    asked.clear();
    for (const callback of due) callback(page.time);
  };
  page.frames = new Frames(page.next, page.drop, () => page.time);
  return page;
};

test("while the page moves, frames are the browser's own", () => {
  const page = browser();
  const id = page.frames.request(() => {});
  assert.ok(page.asked.has(id));
  page.frames.cancel(id);
  assert.equal(page.asked.size, 0);
});

test("on a still page a loop gets two frames a second, and all at once when something moves", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const page = browser();
  let drawn = 0;
  const loop = () => {
    drawn++;
    page.frames.request(loop);
  };
  page.time = 10_000;
  page.frames.request(loop);
  for (let step = 0; step < 20; step++) {
    page.draw();
    t.mock.timers.tick(100);
  }
  page.draw();
  assert.equal(drawn, 4);
  page.frames.move();
  page.draw();
  page.draw();
  assert.equal(drawn, 6);
});

test("a frame that waits can be taken back, before and after it was given to the browser", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const page = browser();
  page.time = 10_000;
  const [first, second] = [page.frames.request(assert.fail), page.frames.request(assert.fail)];
  page.frames.cancel(first);
  page.frames.move();
  assert.equal(page.asked.size, 1);
  page.frames.cancel(second);
  page.draw();
  t.mock.timers.tick(1000);
});
