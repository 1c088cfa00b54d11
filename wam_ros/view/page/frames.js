// What the cameras see beside what the model imagines, one row for each view.

const NEW = 1.5; // s; frames that are older are shown pale

export class Frames {
  constructor(root, views, horizon) {
    this.horizon = horizon;
    this.panes = views.map((name) => this.row(root, name));
    this.slider = document.getElementById("ahead");
    this.words = document.getElementById("ahead-words");
    this.difference = document.getElementById("difference");
    this.slider.addEventListener("input", () => this.draw());
    this.difference.addEventListener("change", () => this.draw());
  }

  row(root, name) {
    const row = root.appendChild(document.createElement("div"));
    row.className = "view";
    const pane = () => {
      const figure = row.appendChild(document.createElement("figure"));
      const canvas = figure.appendChild(document.createElement("canvas"));
      const caption = figure.appendChild(document.createElement("figcaption"));
      canvas.width = canvas.height = 2;
      return { figure, canvas, caption };
    };
    const [seen, imagined] = [pane(), pane()];
    seen.caption.textContent = `${name}: no frame yet`;
    imagined.caption.textContent = "nothing imagined yet";
    return { name, seen, imagined };
  }

  // Seconds ahead that the slider asks for; Infinity: as far as the model looks.
  get ahead() {
    const share = Number(this.slider.value) / Number(this.slider.max);
    return share === 1 ? Infinity : share * this.horizon;
  }

  // then: whether the moment is past.
  set(moment, then) {
    this.moment = moment;
    this.then = then;
    return this.draw();
  }

  // The column for the slider: imagined earlier for now, or the instant that is nearest.
  chosen() {
    const { columns } = this.moment;
    const wanted = this.ahead;
    const expected = columns.findIndex((c) => c.kind === "expected");
    let best = -1;
    columns.forEach((c, k) => {
      const off = (i) => Math.abs(columns[i].ahead_s - Math.min(wanted, 1e9));
      if (c.kind === "imagined" && (best < 0 || off(k) < off(best))) best = k;
    });
    if (best >= 0 && wanted < columns[best].ahead_s / 2) return expected;
    return best;
  }

  async draw() {
    const moment = this.moment;
    if (!moment) return;
    const chosen = this.chosen();
    const column = moment.columns[chosen];
    const far = column ? column.ahead_s.toFixed(1) : "";
    const now = this.ahead < 0.05 || column?.kind === "expected";
    const bitmaps = (c) => Promise.all(this.panes.map((_, v) => this.bitmap(moment, c, v)));
    const seen = moment.columns[0]?.kind === "observed" ? await bitmaps(0) : [];
    const imagined = column ? await bitmaps(chosen) : [];
    // a newer one came meanwhile; all views are drawn at once, so that they are of one moment
    if (moment !== this.moment) return;
    this.words.textContent = now ? "now" : column ? `+${far} s` : "later";
    this.panes.forEach((pane, v) => {
      this.seen(pane, seen[v], moment);
      if (!imagined[v]) return show(pane.imagined, null, now ? "nothing was imagined for this instant" : "nothing imagined");
      const what = now ? `imagined for this instant, ${far} s before` : `imagined, +${far} s`;
      if (!this.difference.checked || !seen[v]) return show(pane.imagined, imagined[v], what);
      const words = now ? `camera against imagined ${far} s before` : `what changes until +${far} s`;
      show(pane.imagined, imagined[v], `${words}, 3 times stronger`, seen[v]);
    });
  }

  seen(pane, picture, moment) {
    const old = moment.age_s > NEW;
    const when = old ? `${moment.age_s.toFixed(1)} s old` : "";
    const words = when ? `${pane.name}: ${when}` : `${pane.name}, camera ${this.then ? "then" : "now"}`;
    show(pane.seen, picture ?? null, picture ? words : `${pane.name}: no frame yet`);
    pane.seen.figure.classList.toggle("old", old);
  }

  bitmap(moment, column, view) {
    const blob = moment.blobs[column * this.panes.length + view];
    if (!blob) return null;
    moment.bitmaps ??= new Map();
    const key = column * 100 + view;
    if (!moment.bitmaps.has(key)) {
      const type = blob[0] === 0x89 ? "image/png" : "image/jpeg";
      moment.bitmaps.set(key, createImageBitmap(new Blob([blob], { type })));
    }
    return moment.bitmaps.get(key);
  }
}

// Draws a picture as large as its pane; with `against`, how much the two differ.
function show({ figure, canvas, caption }, picture, words, against = null) {
  caption.textContent = words;
  const context = canvas.getContext("2d");
  if (!picture) {
    context.clearRect(0, 0, canvas.width, canvas.height);
    return;
  }
  figure.style.setProperty("--aspect", picture.width / picture.height);
  const box = figure.getBoundingClientRect();
  const scale = Math.min(box.width / picture.width, box.height / picture.height) * devicePixelRatio;
  const width = Math.max(1, Math.round(picture.width * scale));
  const height = Math.max(1, Math.round(picture.height * scale));
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  context.imageSmoothingQuality = "high";
  context.globalCompositeOperation = "source-over";
  context.drawImage(picture, 0, 0, width, height);
  if (!against) return;
  context.globalCompositeOperation = "difference";
  context.drawImage(against, 0, 0, width, height);
  context.globalCompositeOperation = "lighter";
  const once = new OffscreenCanvas(width, height);
  once.getContext("2d").drawImage(canvas, 0, 0);
  context.drawImage(once, 0, 0);
  context.drawImage(once, 0, 0);
}
