/**
 * The buttons in the page's header. Presenter mode enlarges the page and hides the upload and the
 * examples; ?present=1 in the address switches it on too. "Lessons" opens and closes the sidebar. A step
 * of a lesson scrolls to the picture.
 */

import { scrollToPart } from "../base/dom.js";
import { t } from "../base/translate.js";
import { DisplayBox, useStoredTheme } from "./display.js";

const MODE = "tv-present";

const present = (on) => {
  document.documentElement.classList.toggle(MODE, on);
  const button = document.querySelector("#tv-present");
  if (button) {
    button.setAttribute("aria-pressed", String(on));
    button.textContent = on ? t("Leave presenter mode") : t("Present");
  }
  const address = new URL(window.location.href);
  if (on) address.searchParams.set("present", "1");
  else address.searchParams.delete("present");
  window.history.replaceState(null, "", address);
  window.dispatchEvent(new Event("resize"));
};

/** @returns {HTMLElement | null} The button that opens and closes the sidebar with the lessons. */
const opener = () => document.querySelector("#tv-lessons .toggle-button, .sidebar .toggle-button");

/** @type {DisplayBox} */
let display = null;

const clicked = (target) => {
  if (target.closest("#tv-lesson-next, #tv-lesson-back")) scrollToPart("#tv-main");
  const button = target.closest(".tv-modes button");
  if (!button) return;
  if (button.id === "tv-display") display.toggle();
  else if (button.id === "tv-present") present(!document.documentElement.classList.contains(MODE));
  else opener()?.click();
};

/** Gradio builds the header after this script has run: wait for it before reading the address. */
const presentWhenAsked = () => {
  const observer = new MutationObserver(() => {
    if (!document.querySelector("#tv-present")) return;
    observer.disconnect();
    useStoredTheme();
    display = new DisplayBox();
    if (new URL(window.location.href).searchParams.get("present") === "1") present(true);
  });
  observer.observe(document.documentElement, { childList: true, subtree: true });
};

/** Make the header's buttons work; once per page. */
export const watchHeader = () => {
  document.addEventListener("click", (event) => {
    if (event.target instanceof Element) clicked(event.target);
  });
  presentWhenAsked();
};
