// Keeps /ws open for what analytics and alerts find, in all assets. Topics that the service does not have are left out.

import { EVENTS, TOPICS } from "./events.js";
import { Reopening } from "./reopening.js";

const TIERS = ["hot", "medium", "cold"];

export class EventSocket extends Reopening {
  #asked = []; // topics whose subscription is not answered yet
  #has = new Set();

  /**
   * `on` has `events(name, list)`, and `topics(names)`, called when the topics are known, and with none while there is
   * no connection.
   */
  constructor(on, connect, later) {
    super("/ws?numbers=number", connect, later);
    this.on = on;
  }

  /** Subscribe to one topic after the other: an answer does not name the topic that the service does not have. */
  opened() {
    this.#asked = [...TOPICS];
    for (const topic of TOPICS) this.send({ type: "subscribe", topics: [topic], tiers: TIERS });
  }

  /** Pass events on. */
  take(message) {
    if (message.type === "subscribed" || message.type === "error") this.#answered(message.type === "subscribed");
    else if (message.type === "snapshot") {
      for (const topic of TOPICS) if (message[topic]) this.on.events(EVENTS[topic], message[topic]);
    } else if (message[message.type]) this.on.events(message.type, [message[message.type]]);
  }

  /** Forget the topics. */
  ended() {
    this.#asked = [];
    this.#has.clear();
    this.on.topics([]);
  }

  #answered(known) {
    const topic = this.#asked.shift();
    if (!topic) return;
    this.worked();
    if (known) this.#has.add(topic);
    if (this.#asked.length) return;
    this.on.topics([...this.#has]);
    if (!this.#has.size) this.leave();
  }
}
