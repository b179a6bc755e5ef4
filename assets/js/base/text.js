/** Numbers as text, and names of code in it. */

import { el } from "./dom.js";
import { t, told } from "./translate.js";

export const formatNumber = (value) => {
  if (value === null || !Number.isFinite(value)) return t("no number");
  if (value === 0) return "0";
  const size = Math.abs(value);
  return size >= 0.001 && size < 10000 ? String(+value.toPrecision(3)) : value.toExponential(1);
};

export const formatPercent = (value) => {
  if (!Number.isFinite(value)) return "–";
  return value > 0 && value < 0.005 ? "<1 %" : `${Math.round(value * 100)} %`;
};

/** The title of a method or mitigation; a stand-in is marked as one wherever it is named. */
export const markedTitle = ({ title, verified }) => title + (verified ? "" : t(" (stand-in)"));
export const plural = (count, one) => t(`{count} ${one}${count === 1 ? "" : "s"}`, { count });

/** A probability, 0 to 1, with three digits after the point. */
export const formatChance = (value) => (value > 0 && value < 0.0005 ? "<0.001" : value.toFixed(3));

/** The parts of a text of the server in which `names` stand between backticks: as nodes, names as code. */
export const withCode = (text) =>
  told(text)
    .split("`")
    .map((part, i) => (i % 2 ? el("code", {}, part) : part));

/** A text of the server without its backticks, where only plain text can stand. */
export const plainText = (text) => told(text).replaceAll("`", "");
