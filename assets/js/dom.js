/* The one namespace, its counters, and building nodes: every text becomes a text node, never markup. */
(() => {
  if (window.__tokviz) return;
  const T = (window.__tokviz = { paints: 0, lastPaintMs: 0, lastDrawMs: 0, explorers: [], lanes: [] });

  /** el("button", {class: "x", onclick: fn, "aria-label": "y"}, "text", node, ...) */
  T.el = (tag, attributes = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value === null || value === undefined || value === false) continue;
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (name in node && typeof value !== "string") node[name] = value;
      else node.setAttribute(name, value);
    }
    node.append(...children.filter((child) => child !== null && child !== undefined));
    return node;
  };

  /* Give a node other children; who is inside with the keyboard stays at the same place in it. */
  T.fill = (node, ...children) => {
    const active = document.activeElement, inside = active !== node && node.contains(active);
    const place = inside ? stops(node).indexOf(active) : -1;
    node.replaceChildren(...children.filter((child) => child !== null && child !== undefined));
    if (place >= 0) stops(node)[place]?.focus({ preventScroll: true });
    return node;
  };

  const stops = (node) => [...node.querySelectorAll("button, input, select, summary, a[href], [tabindex]")];

  /* Write a text only where it differs: writing makes the browser lay the place out again. */
  T.say = (node, text) => {
    const now = String(text);
    if (node.childNodes.length === 1 && node.firstChild.nodeType === Node.TEXT_NODE) {
      if (node.firstChild.data !== now) node.firstChild.data = now;
    } else if (now || node.childNodes.length) node.textContent = now;
  };

  T.mark = (node, name, value) => { if (node.getAttribute(name) !== String(value)) node.setAttribute(name, String(value)); };

  /* What is inside a box may change without the page around it being laid out again: the box (CSS: contain)
     has the height that its content had last. Returns the box. */
  T.island = (box) => {
    const measure = () => { box.style.height = `${box.firstElementChild.offsetHeight}px`; };
    new ResizeObserver(measure).observe(box.firstElementChild);
    return box;
  };

  /* What a stored example shows is a file that is fetched once (components/widgets/payload_cache.py); any other value is here already.
     Of several that are asked for in turn only the last is loaded. */
  const files = new Map();
  const fetched = (name) => {
    const root = (window.gradio_config && window.gradio_config.root) || "";
    const file = fetch(`${root}/stored/${name}`).then((answer) => { if (!answer.ok) throw new Error(answer.statusText); return answer.json(); });
    file.catch(() => files.delete(name));
    files.set(name, file);
    return file;
  };
  T.loader = (load) => {
    let turn = 0;
    return (value) => {
      const mine = ++turn;
      if (!value || !value.stored) return load(value);
      const { stored, ...own } = value;
      return (files.get(stored) || fetched(stored)).then((file) => { if (mine === turn) load({ ...file, ...own }); });
    };
  };

  T.number = (value) => {
    if (value === null || !Number.isFinite(value)) return "no number";
    if (value === 0) return "0";
    const size = Math.abs(value);
    return size >= 0.001 && size < 10000 ? String(+value.toPrecision(3)) : value.toExponential(1);
  };

  T.percent = (value) => {
    if (!Number.isFinite(value)) return "–";
    return value > 0 && value < 0.005 ? "<1 %" : `${Math.round(value * 100)} %`;
  };

  T.plural = (count, one) => `${count} ${one}${count === 1 ? "" : "s"}`;

  /* Scroll to a part of the page unless its beginning is before the reader already. */
  T.bring = (selector) => {
    const part = document.querySelector(selector), top = part ? part.getBoundingClientRect().top : 0;
    if (part && (top < -40 || top > window.innerHeight / 2)) part.scrollIntoView({ block: "start" });
  };

  T.download = (name, blob) => {
    const link = T.el("a", { href: URL.createObjectURL(blob), download: name });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };
})();
