/** A pen with the methods of a canvas pen that writes SVG, so that one painter draws for both. */

const round = (value) => String(+value.toFixed(2));
const ENTITIES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

/** XML has no control characters; one of them would make the whole file unreadable. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is taken out
const CONTROLS = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g;
const escaped = (text) => text.replace(CONTROLS, "").replace(/[&<>"]/g, (one) => ENTITIES[one]);

/** A canvas pen that only measures texts; one for all. */
let ruler = null;

export class SvgPen {
  constructor(width, height) {
    this.width = width;
    this.height = height;
    /** Elements in the order in which they are drawn. @type {string[]} */
    this.parts = [];
    /** Patterns by the picture that they repeat. @type {Map<string, any>} */
    this.defs = new Map();
    /** @type {number[]} */
    this.dash = [];
    this.path = "";
    // As a canvas pen has them.
    /** @type {any} */
    this.fillStyle = "#000";
    /** @type {any} */
    this.strokeStyle = "#000";
    this.lineWidth = 1;
    this.globalAlpha = 1;
    this.font = "16px sans-serif";
    /** Whether pictures lose a part of their colour. */
    this.grey = false;
  }

  /** Vector graphics have no pixels to scale to. */
  scale() {}

  colour(name, style) {
    if (typeof style === "string") return `${name}="${escaped(style)}"`;
    return `${name}="url(#${style.id})"`;
  }

  add(tag, attributes, paint) {
    const alpha = this.globalAlpha < 1 ? ` opacity="${round(this.globalAlpha)}"` : "";
    const all = Object.entries(attributes)
      .map(([key, value]) => `${key}="${typeof value === "number" ? round(value) : value}"`)
      .join(" ");
    this.parts.push(`<${tag} ${all} ${paint}${alpha}/>`);
  }

  stroked() {
    const dash = this.dash.length ? ` stroke-dasharray="${this.dash.join(" ")}"` : "";
    const width = round(this.lineWidth);
    return `fill="none" ${this.colour("stroke", this.strokeStyle)} stroke-width="${width}"${dash}`;
  }

  fillRect(x, y, width, height) {
    if (width > 0 && height > 0)
      this.add("rect", { x, y, width, height }, this.colour("fill", this.fillStyle));
  }

  strokeRect(x, y, width, height) {
    if (width > 0 && height > 0) this.add("rect", { x, y, width, height }, this.stroked());
  }

  beginPath() {
    this.path = "";
  }

  moveTo(x, y) {
    this.path += `M${round(x)} ${round(y)}`;
  }

  lineTo(x, y) {
    this.path += `L${round(x)} ${round(y)}`;
  }

  closePath() {
    this.path += "Z";
  }

  stroke() {
    if (this.path) this.add("path", { d: this.path }, this.stroked());
  }

  fill() {
    if (this.path) this.add("path", { d: this.path }, this.colour("fill", this.fillStyle));
  }

  setLineDash(dash) {
    this.dash = dash;
  }

  fillText(text, x, y) {
    const size = parseFloat(this.font.match(/([\d.]+)px/)[1]);
    const weight = /bold|600/.test(this.font) ? ' font-weight="600"' : "";
    this.parts.push(
      `<text x="${round(x)}" y="${round(y)}" font-size="${size}"${weight} ` +
        `font-family="system-ui, sans-serif" ` +
        `${this.colour("fill", this.fillStyle)}>` +
        `${escaped(text)}</text>`,
    );
  }

  measureText(text) {
    ruler ??= document.createElement("canvas").getContext("2d");
    ruler.font = this.font;
    return ruler.measureText(text);
  }

  /** A tile of pixels, kept as a pattern of the file. */
  createPattern(tile) {
    const key = tile.toDataURL();
    const id = this.defs.get(key)?.id || `p${this.defs.size}`;
    const pattern = { id, tile, scale: 1 };
    pattern.setTransform = ({ a }) => {
      pattern.scale = a;
    };
    if (!this.defs.has(key)) this.defs.set(key, pattern);
    return this.defs.get(key);
  }

  drawImage(image, x, y, width, height) {
    const source = image.toDataURL ? image.toDataURL() : image.src;
    const grey = this.grey ? ' filter="url(#grey)"' : "";
    this.parts.push(
      `<image href="${source}" x="${round(x)}" y="${round(y)}" ` +
        `width="${round(width)}" height="${round(height)}" ` +
        `preserveAspectRatio="none"${grey}/>`,
    );
  }

  toString() {
    const patterns = [...this.defs.values()].map(({ id, tile, scale }) => {
      const width = tile.width * scale;
      const height = tile.height * scale;
      return (
        `<pattern id="${id}" width="${round(width)}" height="${round(height)}" ` +
        `patternUnits="userSpaceOnUse"><image ` +
        `href="${tile.toDataURL()}" ` +
        `width="${round(width)}" height="${round(height)}"/></pattern>`
      );
    });
    const grey = '<filter id="grey"><feColorMatrix type="saturate" values="0.2"/></filter>';
    return (
      `<svg xmlns="http://www.w3.org/2000/svg" ` +
      `width="${round(this.width)}" height="${round(this.height)}" ` +
      `viewBox="0 0 ${round(this.width)} ${round(this.height)}">` +
      `<defs>${grey}${patterns.join("")}</defs>` +
      `${this.parts.join("\n")}</svg>\n`
    );
  }
}
