/**
 * All tokens drawn at once: a small canvas per tile with one pixel per token, stretched over the
 * tile's rectangle. Filling thousands of cells one by one takes longer than a frame.
 */

export class Mosaic {
  /** Make the canvases: [rows, columns] of each tile, and its box in pixels of the original image. */
  constructor(scene) {
    const tiles = new Map();
    const { tile, row, col, kind, box, pane } = scene;
    for (let i = 0; i < scene.n; i++) {
      if (kind.values[i] !== 0) continue;
      const number = tile.values[i];
      if (!tiles.has(number))
        tiles.set(number, {
          pane: pane.values[i],
          tokens: [],
          top: Infinity,
          left: Infinity,
          rows: 0,
          cols: 0,
          box: [Infinity, Infinity, -Infinity, -Infinity],
        });
      const one = tiles.get(number);
      const [x0, y0, x1, y1] = box.values.subarray(4 * i, 4 * i + 4);
      one.tokens.push(i);
      one.top = Math.min(one.top, row.values[i]);
      one.left = Math.min(one.left, col.values[i]);
      one.rows = Math.max(one.rows, row.values[i] + 1);
      one.cols = Math.max(one.cols, col.values[i] + 1);
      one.box = [
        Math.min(one.box[0], x0),
        Math.min(one.box[1], y0),
        Math.max(one.box[2], x1),
        Math.max(one.box[3], y1),
      ];
    }
    this.tiles = Array.from(tiles.values(), (one) => this.prepare(one, row.values, col.values));
  }

  /** A tile's canvas, and for each of its tokens the pixel (row-major) that shows it. */
  prepare({ pane, tokens, top, left, rows, cols, box }, row, col) {
    const canvas = document.createElement("canvas");
    const wide = cols - left;
    Object.assign(canvas, { width: wide, height: rows - top });
    const pen = canvas.getContext("2d");
    const image = pen.createImageData(canvas.width, canvas.height);
    const spots = Int32Array.from(tokens, (i) => (row[i] - top) * wide + col[i] - left);
    return {
      pane,
      box,
      canvas,
      pen,
      image,
      colours: new Uint32Array(image.data.buffer),
      tokens,
      spots,
    };
  }

  /** Give every token a colour, as one number 0xAABBGGRR (palette.packedColour); 0 is transparent. */
  fill(colour) {
    for (const { pen, image, colours, tokens, spots } of this.tiles) {
      for (let k = 0; k < spots.length; k++) colours[spots[k]] = colour(tokens[k]);
      pen.putImageData(image, 0, 0);
    }
    return this;
  }

  /** Stretch the tiles over their places; place(pane, box) gives a rectangle or null. */
  draw(pen, place) {
    pen.imageSmoothingEnabled = false; // sharp borders between tokens
    for (const { pane, box, canvas } of this.tiles) {
      const rect = place(pane, box);
      if (rect) pen.drawImage(canvas, rect.x, rect.y, rect.w, rect.h);
    }
    pen.imageSmoothingEnabled = true;
  }
}
