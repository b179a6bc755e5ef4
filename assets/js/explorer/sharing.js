/** Copying a link to the view, and saving it as picture, numbers, file or code. */

/** @import { Explorer } from "./explorer.js" */

import { copyText, download, el, fill } from "../base/dom.js";
import { figureForm, packed } from "../base/figure_form.js";
import { viewWords } from "../base/links.js";
import { pageState } from "../base/page_state.js";
import { plural } from "../base/text.js";
import { t, told } from "../base/translate.js";
import { Figure } from "./figure.js";
import { unitText } from "./legend.js";
import { OwnLinks } from "./own_links.js";
import { factsLine } from "./run_facts.js";

const names = ["kept", "merged", "pruned"];
const kinds = ["patch", "newline", "separator"];

/** A value between quotes where a comma, a quote or a line break would split it. */
const quoted = (value) => {
  const text = String(value ?? "");
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};

/** Records as CSV. */
const commaSeparated = (rows) => {
  const values = rows.map((row) => Object.values(row).map(quoted));
  return `${[Object.keys(rows[0]), ...values].map((row) => row.join(",")).join("\n")}\n`;
};

export class Sharing {
  /** @param {Explorer} owner */
  constructor(owner) {
    this.owner = owner;
    this.own = new OwnLinks(this);
  }

  build() {
    const { payload } = this.owner.scene;
    const { server } = this.owner;
    const ready = payload.n > 0;
    const kept = payload.savable && server.save_file;
    const button = (text, title, act, more = {}) =>
      el(
        "button",
        {
          type: "button",
          class: "tv-tool",
          title,
          disabled: !ready,
          onclick: () => act.call(this),
          ...more,
        },
        text,
      );
    const file = (text, title, act) =>
      button(text, title, () => {
        this.menu.open = false;
        act.call(this);
      });
    const asked = (kind, text, title) =>
      kept ? file(text, title, () => this.fromServer(kind)) : null;
    this.menu = el(
      "details",
      {
        class: "tv-menu",
        onkeydown: (event) => {
          if (event.key === "Escape" && this.menu.open) {
            this.menu.open = false;
            this.menu.firstChild.focus();
            event.stopPropagation();
          }
        },
      },
      el("summary", { class: "tv-tool" }, t("Save …")),
      el(
        "div",
        { class: "tv-menubox" },
        file(t("Picture card (PNG)"), t("2400 pixels wide, with legend and colour bar"), () =>
          this.figure("png"),
        ),
        file(t("Picture (SVG)"), t("Vector graphics for print"), () => this.figure("svg")),
        file(t("Numbers (CSV)"), t("One row per token"), () => this.save("csv")),
        file(t("Numbers (JSON)"), t("The same, with the view they belong to"), () =>
          this.save("json"),
        ),
        asked("page", t("Web page"), t("One file that works offline, hover and all")),
        asked("walk", t("Animation (GIF)"), t("The walk through stages and layers")),
        asked("charts", t("Charts (plotly)"), t("The charts below, as plotly JSON")),
        asked("trace", t("Trace"), t("The whole run; it opens again without a model")),
      ),
    );
    fill(
      this.owner.parts.tools,
      server.save_file
        ? button(t("Copy link"), t("An address that opens exactly this view"), this.link)
        : null,
      this.menu,
      kept && server.save_figure ? this.figureMenu() : null,
      kept ? button(t("Python"), t("The code that makes these numbers"), this.code) : null,
    );
  }

  /** Figures for a paper of what the viewer shows, and of the charts behind it. */
  figureMenu() {
    const { payload } = this.owner.scene;
    const charts = {
      layers: t("attention per layer"),
      words: t("how sure of each word"),
      times: t("times"),
    };
    /** @type {[string, string][]} */
    const choices = Object.entries(charts).map(([name, text]) => [
      name,
      t("chart: {name}", { name: text }),
    ]);
    return figureForm(
      this.owner.server,
      (choice) =>
        choice in charts
          ? { kind: "chart", of: "run", id: payload.id, name: choice }
          : { kind: "view", id: payload.id, ...this.drawn() },
      (text) => this.say(text),
      [["view", t("this picture")], ...choices],
    );
  }

  /** What the viewer draws, in numbers: components/figures/making.py draws the same. */
  drawn() {
    const { scene, view, values, range } = this.owner;
    const look = this.owner.look || this.owner.compose();
    const map = scene.map(view.map);
    const layer = map?.layers ? view.layer : null;
    const head = map?.heads && view.head >= 0 ? view.head : null;
    const chosen = [...view.words].map((word) => scene.words[word]?.text).filter(Boolean);
    const words = chosen.length ? `, ${chosen.slice(0, 4).join(" ")}` : "";
    const place = [
      layer === null ? "" : `, layer ${layer}`,
      head === null ? "" : `, head ${head}`,
    ].join("");
    const said = [
      look.norm ? unitText(map, view.scaling) : "",
      look.norm && layer !== null ? t("layer {layer}", { layer }) : "",
      look.norm && head !== null ? t("head {label}", { label: head }) : "",
    ];
    // the name of the file is English in every language
    const shown = look.norm ? `${view.map}${place}${words}` : "fates";
    return {
      values: look.norm ? packed(values, Float32Array) : null,
      low: range.low,
      high: range.high,
      scaling: view.scaling,
      label: said.filter(Boolean).join(", "),
      roles: look.roles ? packed(look.roles, Uint8Array) : null,
      groups: look.groups ? packed(look.groups, Int32Array) : null,
      name: shown,
    };
  }

  say(...what) {
    fill(this.owner.parts.message, ...what);
  }

  /** The view as fields of a link, which components/answering/links.py reads. */
  state() {
    const { scene, view, panel } = this.owner;
    const { brush } = panel;
    return viewWords(view, {
      n: scene.n,
      fates: Boolean(scene.fates),
      hand: brush.active ? brush.inside : null,
    });
  }

  address() {
    const { link } = this.owner.scene.payload;
    const url = new URL(window.location.href);
    const theme = url.searchParams.get("__theme");
    const lanes = pageState.lanes[0];
    const compared = lanes?.value ? lanes : null;
    url.search = "";
    url.hash = "";
    const all = { ...link, ...this.state(), ...(compared ? compared.words() : {}), __theme: theme };
    if (link.run && compared?.answered()) all.run = "compare";
    for (const [name, value] of Object.entries(all))
      if (value !== null && value !== undefined && value !== "") url.searchParams.set(name, value);
    return url.href;
  }

  async link() {
    if (!this.owner.scene.payload.link?.example) return this.own.offer();
    const address = this.address();
    if (await copyText(address)) {
      this.say(t("Link copied."));
    } else {
      const box = el("input", {
        readonly: "",
        value: address,
        "aria-label": t("Link"),
        class: "tv-link",
      });
      this.say(box);
      box.select();
    }
    history.replaceState(null, "", address);
  }

  async figure(kind) {
    this.say(t("Drawing …"));
    const blob = await new Figure(this.owner)[kind]();
    download(`tokviz-${this.owner.view.map}.${kind}`, blob);
    this.say(t("Picture saved as {kind}.", { kind: kind.toUpperCase() }));
  }

  /** One object per token. */
  rows() {
    const { scene, view, values, ranks } = this.owner;
    const fates = scene.fatesAt(view.stage);
    const groups = scene.groupsAt(view.stage);
    return Array.from({ length: scene.n }, (_, i) => {
      const box = scene.kind.values[i]
        ? [null, null, null, null]
        : Array.from(scene.box.values.subarray(4 * i, 4 * i + 4));
      return {
        token: i,
        kind: kinds[scene.kind.values[i]],
        tile: scene.tile.values[i],
        row: scene.row.values[i],
        column: scene.col.values[i],
        x0: box[0],
        y0: box[1],
        x1: box[2],
        y1: box[3],
        [view.map]: Number.isFinite(values[i]) ? values[i] : null,
        rank: ranks[i],
        fate: names[fates ? fates[i] : 0],
        group: groups ? groups[i] : null,
        sink: scene.isSink(view, i) ? 1 : 0,
      };
    });
  }

  save(kind) {
    const rows = this.rows();
    const { scene } = this.owner;
    const { prompt, answer, model, facts, origin } = scene.payload;
    const text =
      kind === "json"
        ? JSON.stringify(
            { model, prompt, answer, facts, origin, view: this.state(), tokens: rows },
            null,
            1,
          )
        : commaSeparated(rows.map((row) => ({ ...row, run: factsLine({ facts, origin }) })));
    download(
      `tokviz-tokens.${kind}`,
      new Blob([text], { type: kind === "json" ? "application/json" : "text/csv" }),
    );
    this.say(t("Numbers of {tokens} saved.", { tokens: plural(rows.length, "token") }));
  }

  async ask(kind) {
    this.say(t("Preparing the file …"));
    const wanted = { id: this.owner.scene.payload.id, kind, view: this.state() };
    const answer = await this.owner.server
      .save_file(wanted)
      .catch(() => ({ error: t("The server did not answer. Try again.") }));
    if (answer.error) this.say(told(answer.error));
    return answer.error ? null : answer;
  }

  async fromServer(kind) {
    const answer = await this.ask(kind);
    if (!answer) return;
    const bytes = Uint8Array.from(atob(answer.data), (sign) => sign.charCodeAt(0));
    download(answer.name, new Blob([bytes], { type: answer.type }));
    this.say(
      kind === "trace"
        ? t("Trace saved. “Open a trace file” shows it again, without a model.")
        : t("Saved as {name}.", { name: answer.name }),
    );
  }

  async code() {
    const answer = await this.ask("code");
    if (!answer) return;
    const text = new TextDecoder().decode(
      Uint8Array.from(atob(answer.data), (sign) => sign.charCodeAt(0)),
    );
    const copied = (await copyText(text)) ? t("Copied. ") : "";
    this.say(
      copied + t("This makes the same numbers in a notebook:"),
      el("pre", { class: "tv-code", tabindex: "0", "aria-label": t("Python code") }, text),
    );
  }
}
