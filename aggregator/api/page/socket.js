// Keeps /ws open for trades and features, and subscribed to the wanted assets.
// A WebSocket, because browsers open only six HTTP connections to a host, for all tabs together.

import { Reopening } from "./reopening.js";

const SETTLE = 0.25; // seconds that changes of the wanted assets are collected
const MOST = 80; // assets of one topic
const TOPICS = ["features", "trades"];

export class TradeSocket extends Reopening {
  #open = false;
  #settling = 0;
  #wanted = { features: [], trades: [] };
  #has = { features: [], trades: [] };

  /**
   * `on` has `features(list)`, `trades(list)`, `begin()`, and `state(name)`: live, away, or off if the service has no
   * topics of trades. `begin()` is called at the start, and after a gap: from then on every trade arrives, but trades
   * before may not have.
   */
  constructor(on, connect, later) {
    super("/ws", connect, later);
    this.on = on;
  }

  /** Set the assets of each topic, by priority. */
  want(features, trades) {
    this.#wanted = { features: features.slice(0, MOST), trades: trades.slice(0, MOST) };
    if (this.#settling || !this.#open) return;
    if (TOPICS.every((topic) => same(this.#wanted[topic], this.#has[topic]))) return;
    this.#settling = this.later(() => this.#subscribe(), 1000 * SETTLE);
  }

  /** Subscribe to the wanted assets. */
  opened() {
    this.#open = true;
    this.#has = { features: [], trades: [] };
    this.#subscribe();
  }

  /** Pass features and trades on. */
  take(message) {
    if (message.type === "snapshot") {
      if (message.features) this.on.features(message.features);
      if (message.trades) {
        this.on.trades(message.trades);
        this.on.begin();
      }
    } else if (message.type === "feature") {
      this.on.features([message.feature]);
    } else if (message.type === "trade") {
      this.on.trades([message.trade]);
    } else if (message.type === "subscribed") {
      this.worked();
      this.on.state("live");
    } else if (message.type === "error" && message.code === "invalid_parameter") {
      this.leave(); // the only parameter that can be wrong is a topic
    }
  }

  /** Tell the state. */
  ended() {
    this.#open = false;
    this.on.state(this.off ? "off" : "away");
  }

  #subscribe() {
    this.#settling = 0;
    if (!this.#open) return;
    for (const topic of TOPICS) {
      const [had, wanted] = [new Set(this.#has[topic]), new Set(this.#wanted[topic])];
      this.#change("unsubscribe", topic, [...had].filter((symbol) => !wanted.has(symbol)));
      this.#change("subscribe", topic, [...wanted].filter((symbol) => !had.has(symbol)));
      this.#has[topic] = this.#wanted[topic];
    }
  }

  #change(type, topic, assets) {
    if (assets.length) this.send({ type, topics: [topic], assets });
  }
}

function same(one, other) {
  return one.length === other.length && one.every((symbol) => other.includes(symbol));
}
