// A WebSocket that is open while it may be: a lost connection is opened again after a pause.

const PAUSES = [0.5, 1, 2, 4, 8]; // seconds before a new attempt

/** Subclasses define `opened()`, `take(message)`, and `ended()`, which is also called where nothing was open. */
export class Reopening {
  off = false; // whether the service has none of the topics
  #socket = null;
  #allowed = false;
  #failures = 0;
  #retry = 0;

  /** `connect()` returns a WebSocket; `later(function, milliseconds)` is setTimeout. */
  constructor(path, connect = () => opened(path), later = (call, pause) => setTimeout(call, pause)) {
    this.connect = connect;
    this.later = later;
  }

  /** Connect while the page's other stream is connected, and only then: it finds a dead connection. */
  allow(allowed) {
    if (allowed === this.#allowed) return;
    this.#allowed = allowed;
    this.off = false; // the service may have been restarted with other settings
    this.#failures = 0;
    if (allowed) this.#begin();
    else this.#end();
  }

  /** Send a message as JSON; only between `opened()` and `ended()`. */
  send(message) {
    this.#socket.send(JSON.stringify(message));
  }

  /** Make the next pause a short one: the connection has worked. */
  worked() {
    this.#failures = 0;
  }

  /** End the connection, and connect no more until `allow` is called again. */
  leave() {
    this.off = true;
    this.#end();
  }

  #begin() {
    clearTimeout(this.#retry);
    const socket = this.connect();
    this.#socket = socket;
    socket.addEventListener("open", () => socket === this.#socket && this.opened());
    socket.addEventListener("message", (event) => socket === this.#socket && this.take(JSON.parse(event.data)));
    socket.addEventListener("close", () => socket === this.#socket && this.#lost());
  }

  #end() {
    clearTimeout(this.#retry);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    this.ended();
  }

  #lost() {
    this.#end();
    if (!this.#allowed || this.off) return;
    const pause = PAUSES[Math.min(this.#failures, PAUSES.length - 1)] * (0.75 + Math.random() / 2);
    this.#failures += 1;
    this.#retry = this.later(() => this.#allowed && this.#begin(), 1000 * pause);
  }
}

function opened(path) {
  return new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${path}`);
}
