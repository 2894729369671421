// Keeps /ws open for what analytics and alerts find, in all assets. Topics that the service does not have are left out.

import { EVENTS, TOPICS } from "./events.js";

const PAUSES = [0.5, 1, 2, 4, 8]; // seconds before a new attempt
const TIERS = ["hot", "medium", "cold"];

export class EventSocket {
  #socket = null;
  #allowed = false;
  #off = false; // whether the service has none of the topics
  #failures = 0;
  #retry = 0;
  #asked = []; // topics whose subscription is not answered yet
  #has = new Set();

  /**
   * `on` has `events(name, list)`, and `topics(names)`, called when the topics are known, and with none while there is
   * no connection. `connect()` returns a WebSocket; `later(function, milliseconds)` is setTimeout.
   */
  constructor(on, connect = opened, later = (call, pause) => setTimeout(call, pause)) {
    this.on = on;
    this.connect = connect;
    this.later = later;
  }

  /** Connect while the page's other stream is connected, and only then: it finds a dead connection. */
  allow(allowed) {
    if (allowed === this.#allowed) return;
    this.#allowed = allowed;
    this.#off = false; // the service may have been restarted with other settings
    this.#failures = 0;
    if (allowed) this.#begin();
    else this.#end();
  }

  #begin() {
    clearTimeout(this.#retry);
    const socket = this.connect();
    this.#socket = socket;
    socket.addEventListener("open", () => socket === this.#socket && this.#subscribe());
    socket.addEventListener("message", (event) => socket === this.#socket && this.#take(JSON.parse(event.data)));
    socket.addEventListener("close", () => socket === this.#socket && this.#lost());
  }

  #end() {
    clearTimeout(this.#retry);
    const socket = this.#socket;
    this.#socket = null;
    this.#asked = [];
    this.#has.clear();
    socket?.close();
    this.on.topics([]);
  }

  /** Subscribe to one topic after the other: an answer does not name the topic that the service does not have. */
  #subscribe() {
    this.#asked = [...TOPICS];
    for (const topic of TOPICS) this.#socket.send(JSON.stringify({ type: "subscribe", topics: [topic], tiers: TIERS }));
  }

  #take(message) {
    if (message.type === "subscribed" || message.type === "error") this.#answered(message.type === "subscribed");
    else if (message.type === "snapshot") {
      for (const topic of TOPICS) if (message[topic]) this.on.events(EVENTS[topic], message[topic]);
    } else if (message[message.type]) this.on.events(message.type, [message[message.type]]);
  }

  #answered(known) {
    const topic = this.#asked.shift();
    if (!topic) return;
    this.#failures = 0;
    if (known) this.#has.add(topic);
    if (this.#asked.length) return;
    this.on.topics([...this.#has]);
    if (this.#has.size) return;
    this.#off = true;
    this.#end();
  }

  #lost() {
    this.#end();
    if (!this.#allowed || this.#off) return;
    const pause = PAUSES[Math.min(this.#failures, PAUSES.length - 1)] * (0.75 + Math.random() / 2);
    this.#failures += 1;
    this.#retry = this.later(() => this.#allowed && this.#begin(), 1000 * pause);
  }
}

function opened() {
  return new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws?numbers=number`);
}
