/** What a step of a lesson speaks of: the page scrolls to it and frames it until the next step. */

import { pageState } from "../base/page_state.js";

/** Name in a lesson file -> part of the page; components/lessons/lesson_files.py has the same names. */
const PARTS = {
  picture: "#tv-explorer .tv-frame",
  sentence: "#tv-explorer .tv-lead",
  legend: "#tv-explorer .tv-legend",
  words: "#tv-explorer .tv-qa",
  layers: "#tv-explorer [data-part=layers]",
  maps: "#tv-explorer [data-part=maps]",
  heads: "#tv-explorer [data-part=gallery]",
  paint: "#tv-explorer [data-part=brush]",
  lanes: "#tv-lanes",
  "lane 1": "#tv-lanes .tv-lane:nth-child(2)",
  "lane 2": "#tv-lanes .tv-lane:nth-child(3)",
  "lane 3": "#tv-lanes .tv-lane:nth-child(4)",
  ask: "#tv-prompt",
  sweep: "#tv-sweep",
  desk: "#tv-debug",
};
const FRAMED = "tv-highlight";
const still = () => window.matchMedia("(prefers-reduced-motion: reduce)").matches;

export class Highlight {
  load(value) {
    pageState.lesson = value?.turn || "";
    // a lesson's further steps say nothing of it
    pageState.work = pageState.lesson ? value.work || pageState.work : "";
    if (value?.turn) document.dispatchEvent(new CustomEvent("tv-lesson"));
    document.querySelector(`.${FRAMED}`)?.classList.remove(FRAMED);
    const part = value?.focus && document.querySelector(PARTS[value.focus] || null);
    if (!part) return;
    part.classList.add(FRAMED);
    // after the step's picture and lanes have been drawn, which may change where the part is
    setTimeout(() => {
      const box = part.getBoundingClientRect();
      const inSight = box.top >= 0 && box.bottom <= window.innerHeight;
      if (!inSight)
        part.scrollIntoView({
          behavior: still() ? "auto" : "smooth",
          block: box.height > window.innerHeight ? "start" : "center",
        });
    }, 150);
  }
}
