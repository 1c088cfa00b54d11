// Buttons: what stops acts at once, what may let the arm move takes two steps.

const BUTTONS = [
  ["arm", "arm"], ["disarm", "disarm"], ["reset", "reset"],
  ["pause", "pause"], ["resume", "resume"], ["home", "home"],
  ["cancel", "end the task"],
  ["forget", "forget obstacles in doubt"],
];
// Of the recorder, with the key that presses each wherever nobody is typing.
const TAKES = [
  ["take", "record a take", "KeyT"], ["save", "save it", "KeyS"], ["discard", "discard it", "KeyD"],
  ["good", "success", "KeyG"], ["bad", "failure", "KeyB"],
];
const CALMS = ["pause", "disarm", "cancel"];
const AT_ONCE = ["take", "save", "good", "bad"];
const MEANING = {
  arm: "Arm: the model moves the arm from now on.",
  reset: "Reset: forget the stop or the fault. Look why it stopped first.",
  home: "Home: the arm moves home, slowly and judged like any motion.",
  resume: "Resume: the bridge forwards motion again.",
  forget: "Forget: obstacles in doubt count as gone. Look that they are.",
  discard: "Discard: the take that is recorded is thrown away.",
};
const HOLD_MS = 800;

export class Controls {
  constructor(link) {
    this.link = link;
    this.answer = document.getElementById("answer");
    this.question = document.getElementById("question");
    this.buttons = document.getElementById("buttons");
    this.takes = document.getElementById("takes");
    for (const [action, words] of BUTTONS) this.button(this.buttons, action, words);
    for (const [action, words, key] of TAKES) {
      this.button(this.takes, action, words).title = `key ${key.slice(3)}`;
    }
    this.keys();
    this.form();
    this.stops();
  }

  button(row, action, words) {
    const button = row.appendChild(document.createElement("button"));
    button.type = "button";
    button.id = action;
    button.textContent = words;
    button.addEventListener("click", () => this.do(action));
    return button;
  }

  do(action) {
    if (CALMS.includes(action)) this.link.press(action);
    else if (!AT_ONCE.includes(action)) this.ask(action);
    else if (!this.link.send({ type: "press", action })) this.say("not connected");
  }

  keys() {
    addEventListener("keydown", (event) => {
      const typing = event.target.type === "text" || event.ctrlKey || event.altKey || event.metaKey;
      if (typing || event.repeat || this.takes.hidden) return;
      const found = TAKES.find(([action, , key]) => key === event.code && !document.getElementById(action).disabled);
      if (found) this.do(found[0]);
    });
  }

  // What the recorder does decides which of its buttons there are.
  records(recorder) {
    this.takes.hidden = !recorder;
    for (const [action] of TAKES) {
      document.getElementById(action).disabled = (action === "take") === Boolean(recorder?.take);
    }
  }

  // The button, and the space bar wherever nobody is typing.
  stops() {
    const stop = () => this.link.press("estop");
    const button = document.getElementById("stop");
    button.addEventListener("pointerdown", stop);
    button.addEventListener("click", (event) => event.detail === 0 && stop()); // by the keyboard
    addEventListener("keydown", (event) => {
      if (event.code !== "Space" || event.target.type === "text") return;
      event.preventDefault(); // it must not press the button that happens to have the focus
      if (!event.repeat) stop();
    }, { capture: true });
    addEventListener("keyup", (event) => {
      if (event.code === "Space" && event.target.type !== "text") event.preventDefault();
    }, { capture: true });
  }

  form() {
    this.instruction = document.getElementById("instruction");
    this.filled = "";
    const tell = (type) => {
      const text = this.instruction.value.trim();
      if (!text) return;
      if (!this.link.send({ type, text })) this.say("not connected");
      this.instruction.blur(); // the space bar stops again
    };
    document.getElementById("instruct").addEventListener("submit", (event) => {
      event.preventDefault();
      tell("instruct");
    });
    document.getElementById("do").addEventListener("click", () => tell("task"));
    this.instruction.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.instruction.blur();
    });
  }

  // Fills the box, as when a new episode begins, unless a person is writing in it.
  following(instruction) {
    if (![this.filled, instruction].includes(this.instruction.value)) return;
    this.instruction.value = this.filled = instruction;
  }

  // Words that the model knows, to be clicked; of the marked ones an instruction names one.
  knows(vocabulary) {
    const text = JSON.stringify(vocabulary);
    if (text === this.known) return;
    this.known = text;
    const add = (word) => {
      this.instruction.value = `${this.instruction.value.trim()} ${word}`.trim();
      this.instruction.focus();
    };
    const buttons = vocabulary.map(([word, choice]) => {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: word });
      button.classList.toggle("choice", choice);
      button.addEventListener("click", () => add(word));
      return button;
    });
    const choices = vocabulary.filter(([, choice]) => choice).map(([word]) => word);
    const rule = choices.length ? ` (exactly one of ${choices.join(", ")})` : "";
    document.getElementById("words").replaceChildren(...(buttons.length ? [`It knows${rule}:`, ...buttons] : []));
  }

  say(words) {
    this.answer.textContent = words;
  }

  // What came of the last button of any page.
  told(answer) {
    if (answer === this.newest) return;
    this.newest = answer;
    this.say(answer);
  }

  ask(action) {
    this.say("");
    if (!this.link.send({ type: "ask", action })) this.say("not connected");
  }

  // The second step: hold the button down while the number is good.
  confirm({ action, nonce, seconds }) {
    clearTimeout(this.over);
    const close = () => {
      clearTimeout(this.over);
      this.question.hidden = true;
      this.question.replaceChildren();
    };
    this.over = setTimeout(close, 1000 * seconds);
    const words = document.createElement("p");
    words.append(`${MEANING[action]} `, Object.assign(document.createElement("code"), { textContent: nonce.slice(0, 6) }));
    const button = Object.assign(document.createElement("button"), { type: "button", id: "hold" });
    button.append(document.createElement("i"), Object.assign(document.createElement("b"), {
      textContent: `hold to ${action}`,
    }));
    let timer;
    const release = () => {
      clearTimeout(timer);
      button.classList.remove("held");
    };
    button.addEventListener("pointerdown", (event) => {
      button.setPointerCapture(event.pointerId);
      button.classList.add("held");
      timer = setTimeout(() => {
        this.link.send({ type: "confirm", action, nonce });
        close();
      }, HOLD_MS);
    });
    for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) button.addEventListener(name, release);
    button.addEventListener("contextmenu", (event) => event.preventDefault()); // of a long touch
    this.question.replaceChildren(words, button);
    this.question.hidden = false;
    this.question.scrollIntoView({ block: "nearest" });
  }
}
