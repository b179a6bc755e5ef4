/* Examples as small pictures with their question; one click opens one. */
(() => {
  const T = window.__tokviz;
  if (T.Examples) return;
  const { el, fill } = T;

  T.Examples = class {
    constructor(root, { trigger }) {
      this.trigger = trigger;
      this.head = root.querySelector("[data-part=head]");
      this.cards = root.querySelector("[data-part=cards]");
    }

    load(value) {
      if (!value) return;
      this.head.textContent = value.items.length ? "Examples: one click, already answered" : "";
      fill(this.cards, ...value.items.map((item) => {
        const card = el("button", { type: "button", class: "tv-card", title: item.note || item.prompt, onclick: () => this.open(card, item) },
          el("img", { src: item.src, alt: "" }), el("span", {}, item.prompt), item.tag ? el("span", { class: "tv-tag" }, item.tag) : null);
        if (item.id === value.current) card.setAttribute("aria-current", "true");
        return card;
      }));
    }

    open(card, item) {
      this.cards.querySelectorAll("[aria-current]").forEach((other) => other.removeAttribute("aria-current"));
      card.setAttribute("aria-current", "true");
      this.trigger("pick", { example: item.id });
    }
  };
})();
