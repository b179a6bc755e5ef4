/**
 * Another language loads the page again, since Gradio reads it only at its start. What a visitor has
 * lasts: the open lesson with its answer and the run that was shown before it, the cards of this
 * visit, and the run that is shown. The lesson goes by the address, which the server reads, the rest
 * by the tab's own storage.
 */

import { pageState } from "./page_state.js";

/** Under which name the tab keeps it from one page to the next. */
const KEPT = "tokviz-next-language";
/** Fields of the address that stay beside those of a lesson. */
const STAY = ["present", "__theme"];

/**
 * @typedef {{search: string, lesson: boolean, cards?: any[], shown?: {run: string, lane: number}}} Kept
 * `search`: of the address as it was.
 */

/** The answer as the address has it: the number of the choice, from 1, or what was typed. */
const givenAnswer = () => {
  const choices = [...document.querySelectorAll("#tv-lesson-choices input")];
  const chosen = choices.findIndex((one) => /** @type {HTMLInputElement} */ (one).checked) + 1;
  const number = document.querySelector("#tv-lesson-number input");
  return chosen ? String(chosen) : /** @type {HTMLInputElement} */ (number)?.value || "";
};

/** The query of the next page: of the open lesson, or as it is. */
const nextSearch = () => {
  if (!pageState.lesson) return window.location.search;
  const [name, number] = pageState.lesson.split(" ");
  const before = new URLSearchParams(window.location.search);
  const next = new URLSearchParams({ lesson: name, step: String(Number(number) + 1) });
  next.set("given", givenAnswer());
  if (pageState.work) next.set("work", pageState.work);
  for (const field of STAY) if (before.has(field)) next.set(field, before.get(field));
  return `?${next}`;
};

const store = (/** @type {Kept} */ kept) => {
  const small = { ...kept, cards: kept.cards?.map((card) => ({ ...card, src: null })) };
  for (const one of [kept, small]) {
    try {
      return window.sessionStorage.setItem(KEPT, JSON.stringify(one));
    } catch {
      // no room, or a browser that keeps nothing: without the small pictures, or not at all
    }
  }
};

/** Load the page again; "tv-leaving" asks its parts for what has to last. */
export const loadAgain = () => {
  /** @type {Kept} */
  const kept = { search: window.location.search, lesson: Boolean(pageState.lesson) };
  document.dispatchEvent(new CustomEvent("tv-leaving", { detail: kept }));
  store(kept);
  const search = nextSearch();
  if (search === window.location.search) window.location.reload();
  else window.location.search = search;
};

/** Whether the page before left something, which is taken later. */
export const keepsRun = () => {
  try {
    return window.sessionStorage.getItem(KEPT) !== null;
  } catch {
    return false;
  }
};

/** What the page before left, once. @returns {Kept | null} */
export const takeKept = () => {
  try {
    const kept = JSON.parse(window.sessionStorage.getItem(KEPT));
    window.sessionStorage.removeItem(KEPT);
    return kept;
  } catch {
    return null;
  }
};

/** Give the address back what it had before the lesson went by it. */
export const restoreAddress = (/** @type {Kept} */ kept) => {
  const address = new URL(window.location.href);
  address.search = kept.search;
  window.history.replaceState(null, "", address);
};
