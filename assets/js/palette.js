/* Colours and patterns. Every role differs in pattern as well as in colour. */
(() => {
  const T = window.__tokviz;
  if (T.palette) return;

  /* Anchors of viridis: perceptually even, readable for colour-blind eyes and in grey. */
  const anchors = ["440154", "482878", "3e4989", "31688e", "26828e", "1f9e89", "35b779", "6ece58", "b5de2b", "fde725"];
  const rgb = anchors.map((hex) => [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16)));
  const ramp = Array.from({ length: 256 }, (_, step) => {
    const place = (step / 255) * (rgb.length - 1), left = Math.min(Math.floor(place), rgb.length - 2);
    const mix = rgb[left].map((from, c) => Math.round(from + (rgb[left + 1][c] - from) * (place - left)));
    return `rgb(${mix.join(",")})`;
  });

  /* Okabe-Ito, for groups: told apart by colour-blind eyes; neighbours differ by outline anyway. */
  const groups = ["#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7"];

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
    for (const [x0, y0, x1, y1] of pairs) { pen.moveTo(x0, y0); pen.lineTo(x1, y1); }
    pen.stroke();
  };

  const drawings = {
    pruned: (pen, s) => {
      pen.fillStyle = "rgba(18,20,28,0.66)";
      pen.fillRect(0, 0, s, s);
      lines(pen, [[-1, s + 1, s + 1, -1], [-1, 1, 1, -1], [s - 1, s + 1, s + 1, s - 1]], "rgba(255,255,255,0.34)", 1);
    },
    unseen: (pen, s) => {
      pen.fillStyle = "rgba(120,124,132,0.86)";
      pen.fillRect(0, 0, s, s);
      lines(pen, [[0, s / 2, s, s / 2], [s / 2, 0, s / 2, s]], "rgba(255,255,255,0.5)", 1);
    },
    sink: (pen, s) => {
      const cross = [[0, 0, s, s], [0, s, s, 0]];
      pen.fillStyle = "rgba(255,255,255,0.30)";
      pen.fillRect(0, 0, s, s);
      lines(pen, cross, "rgba(0,0,0,0.85)", 1.2);
    },
    absent: (pen, s) => {
      pen.fillStyle = "rgba(140,140,140,0.55)";
      pen.fillRect(0, 0, s, s);
      pen.fillStyle = "rgba(255,255,255,0.8)";
      pen.fillRect(s / 2 - 0.8, s / 2 - 0.8, 1.6, 1.6);
    },
  };
  const sizes = { pruned: 6, unseen: 8, sink: 7, absent: 6 };
  const tiles = new Map();

  T.palette = {
    ramp,
    colour: (share) => ramp[Math.max(0, Math.min(255, Math.round(share * 255)))],
    group: (number) => groups[((number % groups.length) + groups.length) % groups.length],
    pattern: (pen, name, ratio) => {
      const key = `${name}@${ratio}`;
      if (!tiles.has(key)) tiles.set(key, tile(sizes[name], drawings[name], ratio));
      const pattern = pen.createPattern(tiles.get(key), "repeat");
      pattern.setTransform(new DOMMatrix().scale(1 / ratio));
      return pattern;
    },
    dots: (pen, name, ratio) => {
      const key = `dots${name}@${ratio}`, colour = T.palette.group(name);
      const draw = (p, s) => {
        p.globalAlpha = 0.28; p.fillStyle = colour; p.fillRect(0, 0, s, s);
        p.globalAlpha = 1; p.fillStyle = "rgba(0,0,0,0.55)";
        p.beginPath(); p.arc(s / 2, s / 2, 1.5, 0, 7); p.fill();
        p.fillStyle = colour; p.beginPath(); p.arc(s / 2, s / 2, 1, 0, 7); p.fill();
      };
      if (!tiles.has(key)) tiles.set(key, tile(6, draw, ratio));
      const pattern = pen.createPattern(tiles.get(key), "repeat");
      pattern.setTransform(new DOMMatrix().scale(1 / ratio));
      return pattern;
    },
  };
})();
