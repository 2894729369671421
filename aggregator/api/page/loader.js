// Loads items by key, a few at a time, and only while they are wanted.

export class Loader {
  #wanted = [];
  #running = new Set();
  #done = new Set();
  #failedAt = new Map();

  /** `load(key)` returns a promise. At most `most` run at once. A failed key waits `rest` seconds. */
  constructor(load, most, rest = 10, now = () => Date.now() / 1000) {
    this.load = load;
    this.most = most;
    this.rest = rest;
    this.now = now;
  }

  /** Set the wanted keys by priority. A key that is no longer wanted and has not begun to load is dropped. */
  want(keys) {
    this.#wanted = keys;
    this.#next();
  }

  /** Mark all items as not loaded, so that wanted ones load again. */
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
      this.#failedAt.set(key, this.now()); // it loads again if it is still wanted then
    }
    this.#running.delete(key);
    this.#next();
  }
}
