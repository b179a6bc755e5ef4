/**
 * Opens the box of the charts (components/look/charts.py) once the reader comes near it: Gradio draws
 * what a closed box holds only then.
 */

/** How far below the window the box is opened already. */
const NEAR = "300px";

/** @param {HTMLElement} box */
const openWhenNear = (box) => {
  const watch = new IntersectionObserver(
    (seen) => {
      if (!seen.some((one) => one.isIntersecting)) return;
      watch.disconnect();
      box.querySelector("button")?.click();
    },
    { rootMargin: NEAR },
  );
  watch.observe(box);
};

/** Wait until Gradio has built the box. */
export const watchCharts = () => {
  const find = () => {
    const box = document.getElementById("tv-charts");
    if (box) openWhenNear(box);
    return Boolean(box);
  };
  if (find()) return;
  const built = new MutationObserver(() => {
    if (find()) built.disconnect();
  });
  built.observe(document, { childList: true, subtree: true });
};
