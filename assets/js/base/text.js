/** Numbers as text. */

export const formatNumber = (value) => {
  if (value === null || !Number.isFinite(value)) return "no number";
  if (value === 0) return "0";
  const size = Math.abs(value);
  return size >= 0.001 && size < 10000 ? String(+value.toPrecision(3)) : value.toExponential(1);
};

export const formatPercent = (value) => {
  if (!Number.isFinite(value)) return "–";
  return value > 0 && value < 0.005 ? "<1 %" : `${Math.round(value * 100)} %`;
};

/** The title of a method or mitigation; a stand-in is marked as one wherever it is named. */
export const markedTitle = ({ title, verified }) => title + (verified ? "" : " (stand-in)");
export const plural = (count, one) => `${count} ${one}${count === 1 ? "" : "s"}`;
