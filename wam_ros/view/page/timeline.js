// The last minute, or all of a recording, one strip for each figure; the moment under the pointer is shown again.

const SPAN = 60; // s
const LEFT = 128; // px, names and newest values
const GAP = 1.5; // s
const BAND = 16; // px, what safety did
const MARK = "#8a6f99"; // a value that means something
const STRIPS = [
  { key: "surprise", name: "surprise", unit: "", colour: "#c792ea", digits: 2, least: 1.25, mark: 1 }, // the end of calm
  { key: "distance_m", name: "nearest", unit: "mm", colour: "#5aa2ff", factor: 1000, digits: 0, least: 100 },
  { key: "scale", name: "slowed", unit: "x", colour: "#f5b83d", digits: 2, least: 2, floor: 1 },
  { key: "latency_s", name: "latency", unit: "ms", colour: "#e9edf2", factor: 1000, digits: 0, least: 100 },
];
export const DECISIONS = {
  pass: "#3ecf8e", scaled: "#f5b83d", truncated: "#ff8a3c", brake: "#5aa2ff", reject: "#e5484d", unknown: "#2a323d",
};

export class Timeline {
  // onLook: told the number of the moment under the pointer, or null when it has left; whole: of a recording.
  constructor(canvas, onLook, whole = false) {
    this.canvas = canvas;
    this.whole = whole;
    this.place = null; // the sample that is played
    this.samples = [];
    this.at = null;
    const point = (event) => {
      const x = event.clientX - canvas.getBoundingClientRect().left;
      this.at = x > LEFT ? x : null;
      this.looked();
    };
    this.onLook = onLook;
    canvas.addEventListener("pointermove", point);
    canvas.addEventListener("pointerdown", point);
    for (const name of ["pointerleave", "pointercancel"]) {
      canvas.addEventListener(name, () => {
        this.at = null;
        this.looked();
      });
    }
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  async fill() {
    const answer = await fetch("/timeline.json");
    if (!answer.ok) return;
    const known = await answer.json();
    const newest = known.at(-1)?.n ?? -1;
    this.samples = [...known, ...this.samples.filter((s) => s.n > newest)];
    this.draw();
  }

  add({ n, t, figures }) {
    const last = this.samples.at(-1);
    if (last && n <= last.n) return;
    this.samples.push({ n, t, ...figures });
    while (this.samples[0].t < t - SPAN) this.samples.shift();
    if (last && n > last.n + 1) this.fill(); // some did not come here
    this.draw();
  }

  looked() {
    const sample = this.at === null ? null : this.nearest(this.at);
    if (sample?.n !== this.look?.n) {
      this.look = sample;
      this.onLook(sample);
    }
    this.draw();
  }

  get now() {
    return this.samples.at(-1)?.t ?? 0;
  }

  get span() {
    return this.whole && this.samples.length ? Math.max(0.1, this.now - this.samples[0].t) : SPAN;
  }

  x(t) {
    return LEFT + (this.canvas.clientWidth - LEFT - 8) * (1 + (t - this.now) / this.span);
  }

  nearest(x) {
    let best = null;
    for (const s of this.samples) {
      if (!best || Math.abs(this.x(s.t) - x) < Math.abs(this.x(best.t) - x)) best = s;
    }
    return best;
  }

  draw() {
    this.due ??= requestAnimationFrame(() => {
      this.due = undefined;
      this.paint();
    });
  }

  paint() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const ratio = devicePixelRatio;
    if (!width) return;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    const c = this.canvas.getContext("2d");
    c.scale(ratio, ratio);
    c.font = "12px system-ui, sans-serif";
    c.textBaseline = "middle";
    const top = 8;
    const each = (height - top - BAND - 24) / STRIPS.length;
    STRIPS.forEach((strip, k) => this.strip(c, strip, top + k * each, each, width));
    const y = top + STRIPS.length * each + 2;
    c.fillStyle = "#98a3b0";
    c.fillText("decision", 12, y + BAND / 2);
    this.samples.forEach((s, k) => {
      const from = this.x(s.t);
      const to = k + 1 < this.samples.length ? this.x(this.samples[k + 1].t) : from + 3;
      c.fillStyle = DECISIONS[s.decision] ?? DECISIONS.unknown;
      c.fillRect(from, y, Math.min(to - from + 0.5, 12), BAND);
    });
    c.fillStyle = "#98a3b0";
    c.textAlign = "center";
    for (let k = 0; k <= 6; k += width < 480 ? 2 : 1) {
      const s = (k * this.span) / 6;
      const words = this.whole ? `${(this.now - s).toFixed(this.span < 30 ? 1 : 0)} s` : k ? `-${s} s` : "now";
      c.fillText(words, Math.min(this.x(this.now - s), width - 18), y + BAND + 11);
    }
    c.textAlign = "start";
    if (this.place) this.cursor(c, y + BAND, this.place, "#5aa2ff");
    if (this.look) this.cursor(c, y + BAND, this.look, "#ffffff");
  }

  strip(c, { key, name, unit, colour, factor = 1, digits, least, floor = 0, mark }, y, height, width) {
    const value = (s) => (s[key] === null || s[key] === undefined ? null : s[key] * factor);
    const known = this.samples.map(value).filter((v) => v !== null);
    const most = Math.max(least, ...known);
    const at = (v) => y + height - 3 - ((height - 7) * (v - floor)) / (most - floor);
    c.fillStyle = "#1b212a";
    c.fillRect(LEFT, y + 1, width - LEFT - 8, height - 3);
    if (mark !== undefined) {
      c.fillStyle = MARK;
      for (let x = LEFT; x < width - 8; x += 8) c.fillRect(x, Math.round(at(mark)), 4, 1);
    }
    c.fillStyle = "#98a3b0";
    c.fillText(name, 12, y + height / 2);
    const chosen = this.look ?? this.place;
    const shown = chosen ? value(chosen) : this.samples.length ? value(this.samples.at(-1)) : null;
    c.fillStyle = colour;
    c.textAlign = "end";
    c.fillText(shown === null ? "-" : `${shown.toFixed(digits)} ${unit}`, LEFT - 8, y + height / 2);
    c.textAlign = "start";
    c.strokeStyle = colour;
    c.lineWidth = 1.5;
    c.beginPath();
    let pen = false;
    let last = 0;
    for (const s of this.samples) {
      const v = value(s);
      if (s.t - last > GAP) pen = false; // nobody watched
      last = s.t;
      if (v === null) pen = false;
      else if (pen) c.lineTo(this.x(s.t), at(v));
      else {
        c.moveTo(this.x(s.t) - 1, at(v));
        c.lineTo(this.x(s.t), at(v));
        pen = true;
      }
    }
    c.stroke();
  }

  cursor(c, bottom, sample, colour) {
    const x = this.x(sample.t);
    c.strokeStyle = colour;
    c.lineWidth = 1;
    c.beginPath();
    c.moveTo(x, 4);
    c.lineTo(x, bottom);
    c.stroke();
  }
}
