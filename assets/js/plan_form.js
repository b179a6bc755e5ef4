/* Settings of one lane: method, budget and the method's own options, generated from the registry. */
(() => {
  const T = window.__tokviz;
  if (T.PlanForm) return;
  const { el, fill } = T;

  T.PlanForm = class {
    constructor(owner, index, changed, name = `lane ${index + 1}`) {
      this.name = name;
      this.owner = owner;
      this.index = index;
      this.changed = changed;
      this.method = this.methodSelect();
      this.keepText = el("b");
      this.keep = el("input", { type: "range", min: "1", max: String(Math.max(this.total || this.plan.keep, 1)), "aria-label": `Tokens to keep in ${name}`,
        oninput: () => { this.plan.keep = +this.keep.value; this.keepLabel(); changed(); } });
      this.keep.value = this.plan.keep = Math.min(this.plan.keep, Math.max(this.total || this.plan.keep, 1));
      this.badges = el("p", { class: "tv-badges" });
      this.more = el("details", { class: "tv-options" });
      this.slide = el("label", { class: "tv-slide" }, el("span", { class: "tv-label" }, "Keep ", this.keepText), this.keep);
      this.nodes = [this.method, this.slide, this.badges, this.more];
      this.keepLabel();
      this.describe();
    }

    get plan() { return this.owner.plans[this.index]; }

    get entry() { return this.owner.value.catalogue.find((method) => method.name === this.plan.method); }

    /* Visual tokens that this lane's model makes of the picture; 0 until it is known. */
    get total() { return this.owner.tokensOf ? this.owner.tokensOf(this.plan) : this.owner.value.n; }

    keepLabel() {
      const n = this.total;
      this.keep.max = String(Math.max(n || this.owner.value.n, this.plan.keep, 1));
      this.keep.value = String(this.plan.keep);
      this.keepText.textContent = n ? `${this.plan.keep} of ${n} (${Math.round((100 * this.plan.keep) / n)} %)` : `${this.plan.keep} (of how many is known after its first run)`;
    }

    methodSelect() {
      const places = [...new Set(this.owner.value.catalogue.map((method) => method.where))];
      const option = (method) => el("option", { value: method.name, disabled: Boolean(method.missing), title: method.missing || method.summary },
        method.title + (method.verified ? "" : " (stand-in)") + (method.missing ? ` – ${method.missing}` : ""));
      const groups = places.map((place) => el("optgroup", { label: place },
        ...this.owner.value.catalogue.filter((method) => method.where === place).map(option)));
      const select = el("select", { class: "tv-method", "aria-label": `Method of ${this.name}`, onchange: () => this.choose(select.value) },
        this.owner.alone ? null : el("option", { value: "" }, "All tokens (nothing removed)"), ...groups);
      select.value = this.plan.method;
      return select;
    }

    choose(name) {
      this.plan.method = name;
      this.plan.options = {};
      this.plan.positions = null;
      this.describe();
      this.changed();
    }

    describe() {
      const { entry } = this;
      this.slide.hidden = this.badges.hidden = this.more.hidden = !entry;
      if (!entry) return;
      const badge = (text, title) => el("span", { class: "tv-badge", title }, text);
      fill(this.badges, badge(entry.query_aware ? "reads the question" : "ignores the question", entry.query_aware ? "What it keeps depends on the prompt." : "It keeps the same tokens whatever you ask."),
        badge({ select: "prunes", merge: "merges", both: "prunes and merges" }[entry.kind] || entry.kind, entry.summary),
        badge(entry.where, "Where it acts"),
        entry.verified ? null : badge("stand-in", "Built from secondary sources: a stand-in for the published method."),
        entry.removes ? null : badge("masks only", "Hides tokens but shortens nothing."));
      this.badges.title = entry.summary;
      const paper = /^https:\/\//.test(entry.paper) ? el("a", { href: entry.paper, target: "_blank", rel: "noopener noreferrer" }, `paper${entry.year ? `, ${entry.year}` : ""}`) : null;
      fill(this.more, el("summary", {}, `About and ${T.plural(entry.options.length + 1, "option")}`),
        el("p", { class: "tv-fine" }, `${entry.summary} `, paper), this.positions(entry), ...entry.options.map((option) => T.optionField(option, this.plan.options, this.changed)));
    }

    positions(entry) {
      const names = { keep: "keep", repack: "renumber" };
      const select = el("select", { title: "Do the tokens that are left keep their position ids, or are they numbered anew without gaps?",
        onchange: () => { this.plan.positions = select.value || null; this.changed(); } },
        el("option", { value: "" }, `as published: ${names[entry.positions]}`),
        ...Object.entries(names).map(([value, text]) => el("option", { value }, text)));
      select.value = this.plan.positions || "";
      return el("label", { class: "tv-option" }, "position ids", select);
    }
  };

  /* One option from the registry as a labelled field; `values` holds what was set. */
  T.optionField = (option, values, changed) => {
    const value = values[option.name] ?? option.default, label = option.name.replaceAll("_", " ");
    const set = (next) => { values[option.name] = next; changed(); };
    if (option.choices.length) {
      const select = el("select", { onchange: () => set(option.choices[select.selectedIndex]) },
        ...option.choices.map((choice) => el("option", { value: String(choice) }, String(choice))));
      select.value = String(value);
      return el("label", { class: "tv-option" }, label, select);
    }
    if (option.type === "bool") {
      const box = el("input", { type: "checkbox", checked: Boolean(value), onchange: () => set(box.checked) });
      return el("label", { class: "tv-option" }, label, box);
    }
    if (option.type === "str") {
      const line = el("input", { type: "text", value: value ?? "", onchange: () => set(line.value) });
      return el("label", { class: "tv-option" }, label, line);
    }
    return numberField(option, label, value, set);
  };

  const numberField = (option, label, value, set) => {
    const ranged = option.low !== null && option.high !== null, whole = option.type === "int";
    const slides = ranged && (!whole || option.high - option.low <= 1000);
    const step = option.step ?? (whole ? 1 : ranged ? (option.high - option.low) / 100 : "any");
    const shown = el("b", {}, value === null ? "auto" : String(value));
    const input = el("input", { type: slides && option.default !== null ? "range" : "number", step: String(step), min: ranged ? String(option.low) : null, max: ranged ? String(option.high) : null,
      placeholder: "auto", oninput: () => {
        const next = input.value === "" ? null : +input.value;
        shown.textContent = next === null ? "auto" : String(next);
        set(next);
      } });
    input.value = value === null ? "" : String(value);
    return el("label", { class: "tv-option" }, label, input.type === "range" ? shown : null, input);
  };
})();
