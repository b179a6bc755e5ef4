/**
 * Scrolls to the part that the address names, such as #tv-compare. Safari looks for it only until the
 * page's HTML is read, and Gradio builds the parts after that.
 */

import { pageState } from "../base/page_state.js";

export const showNamedPart = () => {
  const name = window.location.hash.slice(1);
  if (!name) return;
  const look = () => {
    const part = document.getElementById(name);
    if (!part || pageState.isEarly || !pageState.paints) return;
    watcher.disconnect();
    if (window.scrollY === 0) part.scrollIntoView();
  };
  const watcher = new MutationObserver(look);
  watcher.observe(document, { childList: true, subtree: true });
};
