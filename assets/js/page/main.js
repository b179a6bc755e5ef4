/**
 * The scripts of the page. Gradio reaches them through `window.__tokviz` alone: its `js_on_load` is a
 * text that runs inside a function, where nothing can be imported (components/widgets/widget.py). Tests
 * and the benchmark read the page through it as well.
 */

import { planKey, plansText, viewWords } from "../base/links.js";
import { pageState } from "../base/page_state.js";
import { storedLoader } from "../base/stored.js";
import { translateFixed } from "../base/translate.js";
import { Board } from "../board/board.js";
import { Lanes } from "../compare/lanes.js";
import { Strip } from "../compare/strip.js";
import { Desk } from "../desk/desk.js";
import { Explorer } from "../explorer/explorer.js";
import { Figure } from "../explorer/figure.js";
import { Scene } from "../explorer/scene.js";
import { SvgPen } from "../explorer/svg.js";
import { History } from "../history/history.js";
import { Maps } from "../maps/maps.js";
import { drawEarly, takeEarly } from "./early.js";
import { Examples } from "./examples.js";
import { Gallery } from "./gallery.js";
import { Highlight } from "./highlight.js";
import { watchCharts } from "./late_charts.js";
import { showNamedPart } from "./named_part.js";
import { Notice } from "./notice.js";
import { watchHeader } from "./present.js";
import { restWhileStill } from "./still_page.js";

const widgets = {
  Board,
  Desk,
  Examples,
  Explorer,
  Gallery,
  Highlight,
  History,
  Lanes,
  Maps,
  Notice,
  Strip,
  storedLoader,
  translateFixed,
};
/** Make a widget of this name in a place of Gradio's; the viewer may be drawn already. */
const make = (name, place, gradio) =>
  (name === "Explorer" && takeEarly(place, gradio)) || new widgets[name](place, gradio);
const forTests = { Figure, Scene, SvgPen, planKey, plansText, viewWords };

// Gradio may put the same head into a page twice; the first one stays in use.
if (!window.__tokviz) {
  window.__tokviz = Object.assign(pageState, widgets, forTests, { make, drawEarly });
  watchHeader();
  showNamedPart();
  restWhileStill();
  watchCharts();
}
