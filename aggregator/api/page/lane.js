// Loads things by key, a few at a time, only while somebody wants them.

export class Lane {
  #wanted = [];
  #running = new Set();
  #done = new Set();
  #failedAt = new Map();

  /** `load(key)` returns a promise; at most `most` run at once, and a failed one rests for `rest` seconds. */
  constructor(load, most, rest = 10, now = () => Date.now() / 1000) {
    this.load = load;
    this.most = most;
    this.rest = rest;
    this.now = now;
  }

  /** Say what is wanted now, most wanted first; what has not begun and is not among it will not be loaded. */
  want(keys) {
    this.#wanted = keys;
    this.#next();
  }

  /** Forget what has been loaded: it is to be loaded again when wanted. */
  forget() {
    this.#done.clear();
    this.#failedAt.clear();
  }

  #next() {
    for (const key of this.#wanted) {
      if (this.#running.size >= this.most) return;
      if (this.#open(key)) this.#start(key);
    }
  }

  #open(key) {
    const failedAt = this.#failedAt.get(key) ?? -Infinity;
    return !this.#done.has(key) && !this.#running.has(key) && this.now() - failedAt >= this.rest;
  }

  async #start(key) {
    this.#running.add(key);
    try {
      await this.load(key);
      this.#failedAt.delete(key);
      this.#done.add(key);
    } catch {
      this.#failedAt.set(key, this.now()); // and asked for again when it is still in view
    }
    this.#running.delete(key);
    this.#next();
  }
}
