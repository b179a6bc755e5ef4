/** What is on this page, for parts that look at one another, and what was drawn so far. */

export const pageState = {
  /** Explorers in the order in which they were made; a page of tokviz has one. @type {any[]} */
  explorers: [],
  /** Comparisons, likewise. @type {any[]} */
  lanes: [],
  /** Pictures drawn since the page was opened. */
  paints: 0,
  /** From the wish to the end of drawing, of the last picture. */
  lastPaintMs: 0,
  /** Drawing alone. */
  lastDrawMs: 0,
};
