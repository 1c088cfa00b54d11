import { Controls } from "/controls.js";
import { Frames } from "/frames.js";
import { Link, fetchMoment } from "/link.js";
import { Player } from "/player.js";
import { Timeline } from "/timeline.js";

const at = (id) => document.getElementById(id);
// How grave a state is; what it is called stands in the scene.
const SAFETY = {
  armed: "good", braking: "warn", hold: "", shadow: "warn", fault: "bad", estop: "bad", disabled: "", unknown: "bad",
};

const recording = document.body.dataset.recording; // its name; without one a loop is running
let newest = null; // the newest moment, of a recording the one that is played
let shown = null; // the moment that is drawn: the newest, or one of the past
let past = null; // the sample under the pointer
let frames = null;
let space = null;
let labels = null; // what states are called

const timeline = new Timeline(at("timeline"), async (sample) => {
  past = sample;
  if (!sample) return draw(newest);
  const moment = await fetchMoment(sample.n);
  if (moment && past === sample) draw(moment);
}, Boolean(recording));
const on = {
  state(words) {
    at("banner").hidden = !words;
    at("banner").classList.remove("past");
    at("banner").textContent = words;
    document.body.dataset.connected = words ? "" : "yes";
    if (!words) timeline.fill();
  },
  pose({ q, objects }) {
    if (past) return;
    space?.pose(q);
    space?.move(objects);
  },
  moment(moment) {
    newest = moment;
    timeline.add(moment);
    controls.following(moment.instruction);
    controls.knows(moment.vocabulary);
    if (!past) draw(moment);
  },
  answer: ({ text }) => controls.say(text),
  question: (question) => controls.confirm(question),
};
// First the connection and the buttons: the stop works before, and without, all that follows.
const link = recording ? null : new Link(on);
const controls = recording ? null : new Controls(link);

const scene = await (await fetch("/scene.json")).json();
document.title = `wam_ros: ${recording || scene.robot.name}`;
at("robot").textContent = scene.robot.name;
labels = scene.labels;
frames = new Frames(at("views"), scene.views, scene.horizon_s);
try {
  const { Space } = await import("/space.js");
  space = new Space(at("scene"), scene);
} catch (error) {
  at("legend").textContent = `The arm cannot be drawn here: ${error.message}`;
}
draw(newest);

function pill(element, words, kind) {
  element.textContent = words;
  element.className = `pill ${kind}`;
}

// What the colours of the moment mean, and what is nearest.
function legend({ plan, proposed, paths, not_chosen: others }) {
  const meaning = {
    accepted: "accepted by safety", cut: "cut by safety", stop: "the stop that is ready", nearest: "nearest",
  };
  const rows = plan ? [["rgb(62 207 142)", proposed ? "ghost: the plan, not executed" : "ghost: where it will be"]] : [];
  for (const { name, rgba, points } of paths) {
    if (!(points?.length > 1) || !meaning[name]) continue;
    const [r, g, b] = rgba.map((v) => Math.round(255 * v));
    const slowed = name === "accepted" && r > 128;
    const words = name === "nearest" ? paths.find((p) => p.text)?.text : "";
    rows.push([`rgb(${r} ${g} ${b})`, words || (slowed ? "slowed by safety" : meaning[name])]);
  }
  if (others.length) rows.push(["rgb(154 163 178)", "imagined, not chosen"]);
  at("legend").replaceChildren(...rows.map(([colour, words]) => {
    const row = document.createElement("span");
    const mark = document.createElement("i");
    mark.style.background = colour;
    row.append(mark, words);
    return row;
  }));
}

function draw(moment) {
  if (!moment) return;
  shown = moment;
  const then = past && !recording ? `${(timeline.now - moment.t).toFixed(1)} s ago: the arm has moved on since` : "";
  if (document.body.dataset.connected) {
    at("banner").hidden = !then;
    at("banner").classList.toggle("past", Boolean(then));
    at("banner").textContent = then;
  }
  const safety = moment.figures.safety;
  pill(at("mode"), labels?.safety[safety] ?? safety, SAFETY[safety]);
  const bridge = labels?.bridge[moment.bridge] ?? "";
  pill(at("bridge"), bridge, bridge ? "warn" : "quiet");
  at("task").textContent = moment.instruction;
  if (controls) {
    const recorder = moment.recorder;
    at("recorded").hidden = !recorder?.take && !recorder?.alarm;
    pill(at("recorded"), recorder?.take ? `● ${recorder.take}` : "not recording", recorder?.alarm ? "bad" : "good");
    controls.records(recorder);
  }
  const answer = ([name]) => name === "answer";
  controls?.told(moment.lines.find(answer)?.[1] ?? "");
  at("lines").replaceChildren(...moment.lines.filter((line) => !answer(line)).flatMap(([name, sentence]) => [
    Object.assign(document.createElement("dt"), { textContent: name }),
    Object.assign(document.createElement("dd"), { textContent: sentence }),
  ]));
  frames?.set(moment, Boolean(past || recording));
  if (!space) return;
  legend(moment);
  space.plan(moment.plan, frames.ahead);
  space.paths(moment.plan, moment.paths, moment.not_chosen);
  space.keep(moment.surroundings);
  if (past || recording) {
    space.pose(moment.q);
    space.move(moment.objects);
  }
}

at("ahead").addEventListener("input", () => space?.plan(shown?.plan ?? null, frames.ahead));
for (const layer of ["ghost", "path", "bodies"]) {
  at(`show-${layer}`).addEventListener("change", (event) => space?.show(layer, event.target.checked));
}
const player = recording && new Player(timeline, (moment) => {
  newest = moment;
  if (!past) draw(moment);
});
window.wam = { link, scene, space, frames, timeline, player }; // for the console, and for tests
