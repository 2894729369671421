// Keeps /ws open for trades and features, and subscribed to the wanted assets.
// A WebSocket, because browsers open only six HTTP connections to a host, for all tabs together.

const PAUSES = [0.5, 1, 2, 4, 8]; // seconds before a new attempt
const SETTLE = 0.25; // seconds that changes of the wanted assets are collected
const MOST = 80; // assets of one topic
const TOPICS = ["features", "trades"];

export class TradeSocket {
  #socket = null;
  #open = false;
  #allowed = false;
  #off = false; // whether the service has no such topics
  #failures = 0;
  #retry = 0;
  #settling = 0;
  #wanted = { features: [], trades: [] };
  #has = { features: [], trades: [] };

  /**
   * `on` has `features(list)`, `trades(list)`, `begin()`, and `state(name)`: live, away, or off if the service has no
   * topics of trades. `begin()` is called at the start, and after a gap: from then on every trade arrives, but trades
   * before may not have. `connect()` returns a WebSocket; `later(function, milliseconds)` is setTimeout.
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

  /** Set the assets of each topic, by priority. */
  want(features, trades) {
    this.#wanted = { features: features.slice(0, MOST), trades: trades.slice(0, MOST) };
    if (this.#settling || !this.#open) return;
    if (TOPICS.every((topic) => same(this.#wanted[topic], this.#has[topic]))) return;
    this.#settling = this.later(() => this.#subscribe(), 1000 * SETTLE);
  }

  #begin() {
    clearTimeout(this.#retry);
    const socket = this.connect();
    this.#socket = socket;
    socket.addEventListener("open", () => socket === this.#socket && this.#opened());
    socket.addEventListener("message", (event) => socket === this.#socket && this.#take(JSON.parse(event.data)));
    socket.addEventListener("close", () => socket === this.#socket && this.#lost());
  }

  #end() {
    clearTimeout(this.#retry);
    const socket = this.#socket;
    this.#socket = null;
    this.#open = false;
    socket?.close();
    this.on.state(this.#off ? "off" : "away");
  }

  #opened() {
    this.#open = true;
    this.#has = { features: [], trades: [] };
    this.#subscribe();
  }

  #subscribe() {
    this.#settling = 0;
    if (!this.#open) return;
    for (const topic of TOPICS) {
      const [had, wanted] = [new Set(this.#has[topic]), new Set(this.#wanted[topic])];
      this.#send("unsubscribe", topic, [...had].filter((symbol) => !wanted.has(symbol)));
      this.#send("subscribe", topic, [...wanted].filter((symbol) => !had.has(symbol)));
      this.#has[topic] = this.#wanted[topic];
    }
  }

  #send(type, topic, assets) {
    if (assets.length) this.#socket.send(JSON.stringify({ type, topics: [topic], assets }));
  }

  #take(message) {
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
      this.#failures = 0;
      this.on.state("live");
    } else if (message.type === "error" && message.code === "invalid_parameter") {
      this.#off = true; // the only parameter that can be wrong is a topic
      this.#end();
    }
  }

  #lost() {
    this.#end();
    if (!this.#allowed || this.#off) return;
    const pause = PAUSES[Math.min(this.#failures, PAUSES.length - 1)] * (0.75 + Math.random() / 2);
    this.#failures += 1;
    this.#retry = this.later(() => this.#allowed && this.#begin(), 1000 * pause);
  }
}

function same(one, other) {
  return one.length === other.length && one.every((symbol) => other.includes(symbol));
}

function opened() {
  return new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`);
}
