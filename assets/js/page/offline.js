/**
 * A saved page (tokviz/view/page_file.py): one explorer that fills it, with the run beside it as
 * JSON. Also what a notebook shows. `window.__tokviz` is for tests alone here.
 */

import { pageState } from "../base/page_state.js";
import { Explorer } from "../explorer/explorer.js";
import { tellHeight } from "./frame_height.js";

const dark = window.matchMedia("(prefers-color-scheme: dark)").matches;
document.documentElement.classList.toggle("dark", dark);
window.__tokviz = pageState;
const payload = JSON.parse(document.getElementById("run").textContent);
new Explorer(document.body).load(payload);
tellHeight();
