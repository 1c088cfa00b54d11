// The connection to view_node: what it tells, and what a person wants of it.

const decoder = new TextDecoder();

// One packed message: length of the head, head, blobs; as wire.py packs them.
export function unpack(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const head = JSON.parse(decoder.decode(new Uint8Array(buffer, 4, length)));
  let start = 4 + length;
  head.blobs = head.sizes.map((size) => {
    const blob = new Uint8Array(buffer, start, size);
    start += size;
    return blob;
  });
  return head;
}

export async function fetchMoment(n) {
  const answer = await fetch(`/moment/${n}`);
  return answer.ok ? unpack(await answer.arrayBuffer()) : null;
}

export class Link {
  // on: functions by the type of message, and `state(words)`: empty while connected.
  constructor(on) {
    this.on = on;
    this.wait = 300;
    this.words = "";
    this.connect();
  }

  connect() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/socket`);
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.wait = 300;
      this.say("");
    };
    socket.onmessage = (event) => {
      const text = typeof event.data === "string";
      const message = text ? JSON.parse(event.data) : unpack(event.data);
      this.on[message.type]?.(message);
    };
    socket.onclose = () => this.retry();
  }

  async retry() {
    if (!this.words) this.say("No connection to view_node: what you see is old. Stop the arm by its own button.");
    await new Promise((done) => setTimeout(done, this.wait));
    this.wait = Math.min(3000, 2 * this.wait);
    try {
      const answer = await fetch("/timeline.json"); // a socket would not tell why it is refused
      if (answer.status === 403) this.say("view_node was started anew: open the link that it printed.");
      if (answer.ok) return this.connect();
    } catch {
      // nobody is there yet
    }
    return this.retry();
  }

  say(words) {
    this.words = words;
    this.on.state(words);
  }

  send(message) {
    if (this.socket.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(message));
    return true;
  }

  // What stops goes two ways, in case one of them is broken.
  async press(action) {
    const sent = this.send({ type: "press", action });
    try {
      const answer = await fetch(`/press/${action}`, { method: "POST", keepalive: true });
      if (answer.ok || sent) return;
    } catch {
      if (sent) return;
    }
    this.say(`${action} did not reach view_node: stop the arm by its own button!`);
  }
}
