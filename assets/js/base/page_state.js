/** The parts of this page, so that they can read each other, and counts of what was drawn. */

export const pageState = {
  /** Explorers in the order in which they were made; a page of tokviz has one. @type {any[]} */
  explorers: [],
  /** Comparisons, likewise. @type {any[]} */
  lanes: [],
  /** Whether Gradio is still building the page around the viewer, see page/early.js. */
  isEarly: false,
  /** The picture of the prompt that is shown alone; -1 = all of them. */
  image: -1,
  /** The step of the lesson that is open, as "name number"; empty = none. */
  lesson: "",
  /** Name of the run that was shown before that lesson; empty = none. */
  work: "",
  /** Pictures drawn since the page was opened. */
  paints: 0,
  /** Milliseconds from a change of the view to the end of drawing, of the last picture. */
  lastPaintMs: 0,
  /** Milliseconds of drawing alone. */
  lastDrawMs: 0,
};
