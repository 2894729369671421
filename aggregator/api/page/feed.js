// Keeps GET /stream open, and reports its events and its state.

const SILENCE = 45; // seconds without any event, after which the connection is considered dead
const PAUSES = [0.5, 1, 2, 4, 8]; // seconds before a new attempt, if the browser does not reconnect

export class Feed {
  #source = null;
  #failures = 0;
  #retry = 0;
  #heardAt = 0;

  /** `on` has `snapshot(bodies)`, `price(body)`, `gap(message)`, and `state(name, message)` (live, reconnecting). */
  constructor(url, on, now = () => performance.now() / 1000) {
    this.url = url;
    this.on = on;
    this.now = now;
  }

  open() {
    this.close();
    this.#heardAt = this.now();
    const source = new EventSource(this.url);
    this.#source = source;
    source.addEventListener("open", () => this.#alive());
    source.addEventListener("snapshot", (event) => this.#take("snapshot", JSON.parse(event.data).prices));
    source.addEventListener("price", (event) => this.#take("price", JSON.parse(event.data)));
    source.addEventListener("gap", (event) => this.on.gap(messageOf(event)));
    source.addEventListener("end", (event) => this.on.state("reconnecting", messageOf(event)));
    source.addEventListener("error", () => this.#lost());
  }

  close() {
    clearTimeout(this.#retry);
    this.#source?.close();
    this.#source = null;
  }

  /** Reopen a connection that has gone silent. Call it regularly: the browser has no event for this. */
  check() {
    if (this.#source?.readyState === EventSource.OPEN && this.now() - this.#heardAt > SILENCE) {
      this.on.state("reconnecting", "nothing came for a while");
      this.open();
    }
  }

  #take(kind, data) {
    this.#alive();
    this.on[kind](data);
  }

  #alive() {
    this.#heardAt = this.now();
    this.#failures = 0;
    this.on.state("live", "");
  }

  #lost() {
    this.on.state("reconnecting", "");
    if (this.#source?.readyState !== EventSource.CLOSED) return; // the browser reconnects by itself, with Last-Event-ID
    const pause = PAUSES[Math.min(this.#failures, PAUSES.length - 1)] * (0.75 + Math.random() / 2);
    this.#failures += 1;
    this.close();
    this.#retry = setTimeout(() => this.open(), 1000 * pause);
  }
}

function messageOf(event) {
  return String(JSON.parse(event.data).msg ?? "").slice(0, 200);
}
