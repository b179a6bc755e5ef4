/**
 * In a notebook the page stands in a frame of another origin, which cannot see how high it is: the
 * page tells it, and the script beside the frame (tokviz/view/notebook.py) makes room.
 */

/** Tell the parent the height of the page now, and whenever it changes. */
export function tellHeight() {
  if (window.parent === window) return;
  const tell = () => {
    const height = Math.ceil(document.body.getBoundingClientRect().height);
    window.parent.postMessage({ tokvizHeight: height }, "*");
  };
  new ResizeObserver(tell).observe(document.body);
}
