// The stream of prices, kept open: what comes, and whether it comes.

const SILENCE = 45; // seconds without any event after which a connection counts as dead
const PAUSES = [0.5, 1, 2, 4, 8]; // seconds before trying again where the browser itself does not

export class Feed {
  #source = null;
  #failures = 0;
  #retry = 0;
  #heardAt = 0;

  /** `on` has `snapshot(bodies)`, `price(body)`, `state(name, message)` (live, reconnecting) and `gap(message)`. */
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

  /** To be called now and then: opens anew what has gone silent, which no event tells. */
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
    if (this.#source?.readyState !== EventSource.CLOSED) return; // the browser tries again, and says where it was
    const pause = PAUSES[Math.min(this.#failures, PAUSES.length - 1)] * (0.75 + Math.random() / 2);
    this.#failures += 1;
    this.close();
    this.#retry = setTimeout(() => this.open(), 1000 * pause);
  }
}

function messageOf(event) {
  return String(JSON.parse(event.data).msg ?? "").slice(0, 200);
}
