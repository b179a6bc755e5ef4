/** Form fields for the options of methods and mitigations. */

import { el } from "../base/dom.js";
import { optionName } from "../base/translate.js";

/** A choice as one text: choices stay code in English. */
const choiceText = (choice) => {
  if (!globalThis.__tokvizOptions) return String(choice);
  return optionName(String(choice)).filter(Boolean).join(" · ");
};

/** One option from the registry as a labelled field; `values` holds what was set. */
export const optionField = (option, values, changed) => {
  const value = values[option.name] ?? option.default;
  const [said, code] = optionName(option.name);
  const label = el("span", {}, said, code ? el("code", {}, code) : null);
  const set = (next) => {
    values[option.name] = next;
    changed();
  };
  if (option.choices.length) {
    const select = el(
      "select",
      { onchange: () => set(option.choices[select.selectedIndex]) },
      ...option.choices.map((choice) =>
        el("option", { value: String(choice) }, choiceText(choice)),
      ),
    );
    select.value = String(value);
    return el("label", { class: "tv-option" }, label, select);
  }
  if (option.type === "bool") {
    const box = el("input", {
      type: "checkbox",
      checked: Boolean(value),
      onchange: () => set(box.checked),
    });
    return el("label", { class: "tv-option" }, label, box);
  }
  if (option.type === "str") {
    const line = el("input", { type: "text", value: value ?? "", onchange: () => set(line.value) });
    return el("label", { class: "tv-option" }, label, line);
  }
  return numberField(option, label, value, set);
};

const numberField = (option, label, value, set) => {
  const ranged = option.low !== null && option.high !== null;
  const whole = option.type === "int";
  const slides = ranged && (!whole || option.high - option.low <= 1000);
  const step = option.step ?? (whole ? 1 : ranged ? (option.high - option.low) / 100 : "any");
  const shown = el("b", {}, value === null ? choiceText("auto") : String(value));
  const input = el("input", {
    type: slides && option.default !== null ? "range" : "number",
    step: String(step),
    min: ranged ? String(option.low) : null,
    max: ranged ? String(option.high) : null,
    placeholder: choiceText("auto"),
    oninput: () => {
      const next = input.value === "" ? null : +input.value;
      shown.textContent = next === null ? choiceText("auto") : String(next);
      set(next);
    },
  });
  input.value = value === null ? "" : String(value);
  return el("label", { class: "tv-option" }, label, input.type === "range" ? shown : null, input);
};
