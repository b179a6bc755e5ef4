/**
 * Draws few frames while nothing changes.
 *
 * Gradio (6.31) goes on asking for frames, sixty a second, for a loading sign that is no longer in the
 * page: a page at rest took 0.58 of a processor core (Chromium without a graphics card). So frames that
 * are asked for while the page is still come twice a second, and at once when something moves.
 */

const STILL_MS = 1000;
const SLOW_MS = 500;
const INPUT = ["pointermove", "pointerdown", "wheel", "scroll", "keydown", "touchstart", "resize"];
const MOTION = ["transitionrun", "animationstart", "input"];

/** Hands out frames: the browser's own while the page moves, slow ones while it is still. */
export class Frames {
  /**
   * @param {(callback: FrameRequestCallback) => number} next the browser's requestAnimationFrame
   * @param {(id: number) => void} drop the browser's cancelAnimationFrame
   * @param {() => number} now milliseconds
   */
  constructor(next, drop, now) {
    this.next = next;
    this.drop = drop;
    this.now = now;
    this.moved = now();
    this.last = 0;
    /** @type {Map<number, FrameRequestCallback>} those that wait for the next slow frame */
    this.waiting = new Map();
    /** @type {Map<number, number>} those that waited -> the browser's number of their frame */
    this.released = new Map();
  }

  /** @param {FrameRequestCallback} callback */
  request(callback) {
    if (this.now() - this.moved < STILL_MS) return this.next(callback);
    if (!this.waiting.size) setTimeout(() => this.release(), SLOW_MS);
    this.waiting.set(--this.last, callback);
    return this.last;
  }

  /** @param {number} id */
  cancel(id) {
    if (this.waiting.delete(id)) return;
    this.drop(this.released.get(id) ?? id);
  }

  /** Something changed or was touched: whoever waits gets the next frame. */
  move() {
    this.moved = this.now();
    if (this.waiting.size) this.release();
  }

  release() {
    const waiting = [...this.waiting];
    this.waiting.clear();
    for (const [id, callback] of waiting) {
      const run = (/** @type {number} */ time) => {
        this.released.delete(id);
        callback(time);
      };
      this.released.set(id, this.next(run));
    }
  }
}

/** Let this page rest from now on. */
export function restWhileStill() {
  const next = window.requestAnimationFrame.bind(window);
  const drop = window.cancelAnimationFrame.bind(window);
  const frames = new Frames(next, drop, () => performance.now());
  const move = () => frames.move();
  const all = { attributes: true, childList: true, characterData: true, subtree: true };
  new MutationObserver(move).observe(document, all);
  const heard = { capture: true, passive: true };
  for (const name of [...INPUT, ...MOTION]) window.addEventListener(name, move, heard);
  window.requestAnimationFrame = (callback) => frames.request(callback);
  window.cancelAnimationFrame = (id) => frames.cancel(id);
}
