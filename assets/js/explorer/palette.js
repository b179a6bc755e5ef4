/** Colours and patterns. What became of a token shows in the pattern as well as in the colour. */

/** Anchors of viridis: perceptually even, readable for colour-blind eyes and in grey. */
const anchors = [
  "440154",
  "482878",
  "3e4989",
  "31688e",
  "26828e",
  "1f9e89",
  "35b779",
  "6ece58",
  "b5de2b",
  "fde725",
];
const rgb = anchors.map((hex) => [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16)));
const mixed = Array.from({ length: 256 }, (_, step) => {
  const place = (step / 255) * (rgb.length - 1);
  const left = Math.min(Math.floor(place), rgb.length - 2);
  return rgb[left].map((from, c) => Math.round(from + (rgb[left + 1][c] - from) * (place - left)));
});
const ramp = mixed.map((mix) => `rgb(${mix.join(",")})`);
/** How far a colour covers the picture, 0 to 1: where a map is low the picture shows through. */
const cover = mixed.map((_, step) => (step / 255) ** 0.6);

/** Colours of groups (Okabe-Ito): colour-blind readers can tell them apart, and groups have outlines. */
const groups = ["#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7"];

/** Further colours, for runs in which more than seven groups touch: hues a golden angle apart. */
const furtherColour = (number) => {
  const hue = (number * 137.508) % 360;
  return `hsl(${hue.toFixed(1)} 62% ${[38, 72, 55][number % 3]}%)`;
};

const tile = (size, draw, ratio) => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = Math.round(size * ratio);
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  draw(pen, size);
  return canvas;
};
const lines = (pen, pairs, colour, width) => {
  pen.strokeStyle = colour;
  pen.lineWidth = width;
  pen.beginPath();
  for (const [x0, y0, x1, y1] of pairs) {
    pen.moveTo(x0, y0);
    pen.lineTo(x1, y1);
  }
  pen.stroke();
};

const drawings = {
  pruned: (pen, s) => {
    pen.fillStyle = "rgba(18,20,28,0.66)";
    pen.fillRect(0, 0, s, s);
    lines(
      pen,
      [
        [-1, s + 1, s + 1, -1],
        [-1, 1, 1, -1],
        [s - 1, s + 1, s + 1, s - 1],
      ],
      "rgba(255,255,255,0.34)",
      1,
    );
  },
  merged: (pen, s) => {
    pen.fillStyle = "rgba(255,255,255,0.3)";
    pen.fillRect(0, 0, s, s);
    pen.fillStyle = "rgba(0,0,0,0.7)";
    pen.beginPath();
    pen.arc(s / 2, s / 2, 1.3, 0, 7);
    pen.fill();
  },
  unseen: (pen, s) => {
    pen.fillStyle = "rgba(120,124,132,0.86)";
    pen.fillRect(0, 0, s, s);
    lines(
      pen,
      [
        [0, s / 2, s, s / 2],
        [s / 2, 0, s / 2, s],
      ],
      "rgba(255,255,255,0.5)",
      1,
    );
  },
  sink: (pen, s) => {
    const cross = [
      [0, 0, s, s],
      [0, s, s, 0],
    ];
    pen.fillStyle = "rgba(255,255,255,0.30)";
    pen.fillRect(0, 0, s, s);
    lines(pen, cross, "rgba(0,0,0,0.6)", 1);
  },
  absent: (pen, s) => {
    pen.fillStyle = "rgba(140,140,140,0.55)";
    pen.fillRect(0, 0, s, s);
    pen.fillStyle = "rgba(255,255,255,0.8)";
    pen.fillRect(s / 2 - 0.8, s / 2 - 0.8, 1.6, 1.6);
  },
};
const sizes = { pruned: 6, merged: 6, unseen: 8, sink: 7, absent: 6 };
const tiles = new Map();
const patterns = new WeakMap();

/** A pen's pattern by key, made once: one per token would take too long. */
const filled = (pen, key, ratio, draw) => {
  if (!patterns.has(pen)) patterns.set(pen, new Map());
  const known = patterns.get(pen);
  if (known.has(key)) return known.get(key);
  if (!tiles.has(key)) tiles.set(key, draw());
  const pattern = pen.createPattern(tiles.get(key), "repeat");
  pattern.setTransform(new DOMMatrix().scale(1 / ratio));
  known.set(key, pattern);
  return pattern;
};

/** Signs for registers and for a method's own names; they differ by shape alone. */
const glyphs = ["triangle", "disc", "square", "diamond", "bar", "ring"];
const corners = {
  triangle: [
    [0, -1],
    [0.9, 0.8],
    [-0.9, 0.8],
  ],
  square: [
    [-0.8, -0.8],
    [0.8, -0.8],
    [0.8, 0.8],
    [-0.8, 0.8],
  ],
  diamond: [
    [0, -1.1],
    [1.1, 0],
    [0, 1.1],
    [-1.1, 0],
  ],
  bar: [
    [-1, -0.4],
    [1, -0.4],
    [1, 0.4],
    [-1, 0.4],
  ],
  plus: [
    [-0.35, -1],
    [0.35, -1],
    [0.35, -0.35],
    [1, -0.35],
    [1, 0.35],
    [0.35, 0.35],
    [0.35, 1],
    [-0.35, 1],
    [-0.35, 0.35],
    [-1, 0.35],
    [-1, -0.35],
    [-0.35, -0.35],
  ],
};
const round = Array.from({ length: 12 }, (_, i) => [
  0.9 * Math.cos((i * Math.PI) / 6),
  0.9 * Math.sin((i * Math.PI) / 6),
]);

/** Share of the range, 0 to 1, on the scale that was chosen; ranks are linear already. */
export const scaled = (share, scaling) => {
  const inside = Math.min(Math.max(share, 0), 1);
  return scaling === "log" ? Math.log1p(99 * inside) / Math.log(100) : inside;
};

/** The ramp with a colour's four bytes red, green, blue, alpha as one number, for pixel arrays. */
const packed = new Uint32Array(
  Uint8Array.from(mixed.flatMap((mix, step) => [...mix, Math.round(255 * cover[step])])).buffer,
);

/** A picture's middle grey, over which the colour bar shows its colours. */
const GREY = [169, 176, 184];

/** The colours of the colour bar: as on a picture, the lowest cover it least. */
const onGrey = mixed.map((mix, step) => {
  const seen = mix.map((part, c) => Math.round(GREY[c] + (part - GREY[c]) * cover[step]));
  return `rgb(${seen.join(",")})`;
});

export const palette = {
  ramp,
  onGrey,
  packed,
  glyphOf: (number) => glyphs[number % glyphs.length],
  glyph: (pen, shape, x, y, size) => {
    const points = corners[shape] || round;
    pen.beginPath();
    for (const [dx, dy] of points) pen.lineTo(x + dx * size, y + dy * size);
    pen.closePath();
    pen.strokeStyle = "#000";
    pen.lineWidth = Math.max(1.6, size * 0.5);
    pen.stroke();
    pen.fillStyle = shape === "ring" ? "#000" : "#fff";
    pen.fill();
  },
  packedColour: (share) => packed[palette.step(share)],
  step: (share) => Math.max(0, Math.min(255, Math.round(share * 255))),
  colour: (share) => ramp[palette.step(share)],
  cover: (share) => cover[palette.step(share)],
  group: (number) => groups[number] ?? furtherColour(number),
  has: (name) => name in drawings,
  pattern: (pen, name, ratio) =>
    filled(pen, `${name}@${ratio}`, ratio, () => tile(sizes[name], drawings[name], ratio)),
  dots: (pen, name, ratio) => {
    const key = `dots${name}@${ratio}`;
    const colour = palette.group(name);
    const draw = (p, s) => {
      p.globalAlpha = 0.28;
      p.fillStyle = colour;
      p.fillRect(0, 0, s, s);
      p.globalAlpha = 1;
      p.fillStyle = "rgba(0,0,0,0.55)";
      p.beginPath();
      p.arc(s / 2, s / 2, 1.5, 0, 7);
      p.fill();
      p.fillStyle = colour;
      p.beginPath();
      p.arc(s / 2, s / 2, 1, 0, 7);
      p.fill();
    };
    return filled(pen, key, ratio, () => tile(6, draw, ratio));
  },
};
