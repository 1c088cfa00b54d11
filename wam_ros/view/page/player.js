// Plays a recording: moment after moment, at the speed of the clock of its loop.
import { fetchMoment } from "/link.js";

const at = (id) => document.getElementById(id);

export class Player {
  // onMoment: told each moment that is to be shown.
  constructor(timeline, onMoment) {
    this.timeline = timeline;
    this.onMoment = onMoment;
    this.playing = false;
    at("recorded").textContent = `recording ${document.body.dataset.recording}: nothing can be commanded`;
    at("recorded").hidden = at("player").hidden = false;
    at("play").addEventListener("click", () => this.toggle());
    timeline.canvas.addEventListener("click", () => timeline.look && this.seek(timeline.look.t));
    addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.code];
      if (event.target.matches("select, input[type=range]")) return;
      if (event.code === "Space") {
        event.preventDefault(); // it must not press the button that happens to have the focus, too
        if (!event.repeat) this.toggle();
      } else if (step) this.step(step);
    }, { capture: true });
    addEventListener("keyup", (event) => event.code === "Space" && event.preventDefault(), { capture: true });
    this.begin();
  }

  async begin() {
    await this.timeline.fill();
    this.samples = this.timeline.samples;
    this.seek(this.samples[0].t);
    this.toggle();
    document.body.dataset.connected = "yes";
    let last = performance.now();
    const tick = (now) => {
      const passed = ((now - last) / 1000) * Number(at("speed").value);
      last = now;
      if (this.playing) this.seek(this.t + passed);
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }

  toggle() {
    const over = this.t >= this.samples.at(-1).t;
    this.playing = !this.playing;
    if (this.playing && over) this.seek(this.samples[0].t);
    at("play").textContent = this.playing ? "pause" : "play";
  }

  step(count) {
    if (this.playing) this.toggle();
    const k = this.samples.indexOf(this.timeline.place) + count;
    this.seek(this.samples[Math.min(this.samples.length - 1, Math.max(0, k))].t);
  }

  // Shows what was there at a time, s of the loop's clock.
  seek(t) {
    const end = this.samples.at(-1).t;
    this.t = Math.min(t, end);
    if (t >= end && this.playing) this.toggle();
    let sample = this.samples[0];
    for (const s of this.samples) if (s.t <= this.t + 1e-6) sample = s;
    at("clock").textContent = `${this.t.toFixed(1)} / ${end.toFixed(1)} s`;
    if (sample === this.timeline.place) return;
    this.timeline.place = sample;
    this.timeline.draw();
    this.show();
  }

  // One request at a time: what a slow connection cannot show is left out.
  async show() {
    if (this.asking) return;
    this.asking = true;
    let shown = null;
    while (shown !== this.timeline.place) {
      shown = this.timeline.place;
      const moment = await fetchMoment(shown.n);
      if (moment) this.onMoment(moment);
    }
    this.asking = false;
  }
}
