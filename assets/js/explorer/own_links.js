/** Links to runs on one's own picture: made only when asked for, listed, and deleted again. */

import { copyText, el } from "../base/dom.js";
import { t, told } from "../base/translate.js";

const KEPT = "tokviz-links";

/** The links that this browser made. @returns {{name: string, key: string, until: string, prompt: string}[]} */
const known = () => {
  try {
    return JSON.parse(localStorage.getItem(KEPT)) || [];
  } catch {
    return [];
  }
};
const remember = (links) => localStorage.setItem(KEPT, JSON.stringify(links.slice(-40)));

export class OwnLinks {
  /** @param {any} sharing */
  constructor(sharing) {
    this.sharing = sharing;
  }

  get server() {
    return this.sharing.owner.server;
  }

  /** Say what a link would do, and make it only then. */
  offer() {
    if (!this.server.share_run)
      return this.sharing.say(
        t(
          "Your own picture stays with you: this server makes no links to it. Save the trace and send that file instead.",
        ),
      );
    return this.sharing.say(
      t(
        "Your own picture stays with you. With a link, whoever has its address can see the picture, the question and the answers until its time is over or you delete it. ",
      ),
      this.button(t("Make a link"), () => this.make()),
      ...this.list(),
    );
  }

  button(text, onclick) {
    return el("button", { type: "button", class: "tv-tool", onclick }, text);
  }

  address(name) {
    const url = new URL(window.location.href);
    url.search = `?shared=${name}`;
    url.hash = "";
    return url.href;
  }

  async make() {
    const { owner } = this.sharing;
    const { payload } = owner.scene;
    const sent = { id: payload.id, view: this.sharing.state() };
    const link = await this.server
      .share_run(sent)
      .catch(() => ({ error: t("The server did not answer. Try again.") }));
    if (link.error) return this.sharing.say(told(link.error));
    remember([...known(), { ...link, prompt: payload.prompt }]);
    return this.tell(link);
  }

  async tell(link) {
    const box = el("input", {
      readonly: "",
      value: this.address(link.name),
      "aria-label": t("Link"),
      class: "tv-link",
    });
    const copied = (await copyText(box.value)) ? t("Link copied. ") : "";
    this.sharing.say(
      copied + t("It is kept until {until}.", { until: link.until }),
      box,
      this.button(t("Delete this link"), () => this.remove(link)),
    );
    box.select();
  }

  /** The links that were made before, each with its button. */
  list() {
    return known().map((link) =>
      el(
        "p",
        { class: "tv-small" },
        el("a", { href: this.address(link.name) }, link.prompt || t("a run")),
        ` ${t("until {until}", { until: link.until })} `,
        this.button(t("Delete"), () => this.remove(link)),
      ),
    );
  }

  async remove(link) {
    const { gone } = await this.server.unshare(link).catch(() => ({ gone: null }));
    if (gone === null) return this.sharing.say(t("The server did not answer. Try again."));
    remember(known().filter((one) => one.name !== link.name));
    return this.sharing.say(
      gone
        ? t("The link is deleted: nobody can open it any more.")
        : t("This link was gone already."),
    );
  }
}
