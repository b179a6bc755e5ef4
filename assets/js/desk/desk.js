/** The hallucination desk: examine an answer, force other words, search tokens, try mitigations. */

import { download, el, fill, partsOf } from "../base/dom.js";
import { t, told } from "../base/translate.js";
import { ExaminedWords } from "./examined_words.js";
import { FurtherRuns } from "./further_runs.js";

export class Desk {
  constructor(root, { trigger, server }) {
    /** Sends an event to Gradio. @type {(event: string, sent?: object) => void} */
    this.trigger = trigger;
    /**
     * Functions of components/desk/saving.py. @type {Record<string, (sent: object) => Promise<any>>}
     */
    this.server = server;
    this.parts = partsOf(root);
    this.words = new ExaminedWords(this);
    this.runs = new FurtherRuns(this);
    /** @type {any} */
    this.value = null;
  }

  load(value) {
    if (!value?.phase) return;
    const before = this.case;
    this.value = value;
    const now = this.case;
    if (now && before?.run !== now.run) this.words.begin(now.words);
    this.showButtons();
    this.parts.body.hidden = !now;
    if (!now) return;
    this.words.show();
    this.runs.show();
  }

  /** What was found out so far; null before anything was examined. */
  get case() {
    return this.value ? this.value.case : null;
  }

  get busy() {
    return this.value.phase === "running";
  }

  button(text, title, onclick, extra = "") {
    return el(
      "button",
      { type: "button", class: `tv-tool ${extra}`, title, disabled: this.busy, onclick },
      text,
    );
  }

  /** Send an event about this case. */
  send(event, more = {}) {
    this.trigger(event, { run: this.case?.run, ...more });
  }

  showButtons() {
    const { progress, error } = this.value;
    const main = (text, classes, onclick) =>
      el("button", { type: "button", class: classes, onclick }, text);
    const page = t("One page that works offline, with everything found here");
    const trace = t("The run itself; it opens again without a model");
    const saving = [
      this.button(t("Save this case"), page, () => this.save("page")),
      this.button(t("Save its trace"), trace, () => this.save("trace")),
    ];
    fill(
      this.parts.bar,
      this.busy
        ? main(t("Stop"), "tv-primary tv-stop", () => this.stop())
        : main(t("Examine this answer"), "tv-primary", () => this.send("examine")),
      ...(this.case ? saving : []),
      this.busy ? el("span", { class: "tv-spin", "aria-hidden": "true" }) : null,
      el("span", { class: "tv-small" }, told(progress)),
    );
    this.say(error, Boolean(error));
  }

  /** What is shown until the run's last update comes. */
  stop() {
    this.value = { ...this.value, progress: t("Stopping …") };
    this.showButtons();
    this.send("halt");
  }

  say(text, isError) {
    this.parts.message.textContent = told(text);
    this.parts.message.hidden = !text;
    this.parts.message.classList.toggle("tv-error", isError);
  }

  /** Save the case as a page or as a trace. */
  async save(kind) {
    const file = await this.server
      .save_case({ run: this.case.run, kind })
      .catch(() => ({ error: t("The server did not answer. Try again.") }));
    if (file.error) {
      this.say(file.error, true);
      return;
    }
    const bytes = Uint8Array.from(atob(file.data), (c) => c.charCodeAt(0));
    download(file.name, new Blob([bytes], { type: file.type }));
  }
}
