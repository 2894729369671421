// The most unusual event of an asset within the last minutes, which the table marks. Pure.

const WINDOW = 900; // seconds that an event has to stand out of
const MARKED = 60; // seconds that an asset is marked after it

/**
 * Some trades in a hundred are unusual by definition, so a mark for each of them would always be on for a busy asset. One
 * that exceeds all others of the last 15 minutes is rare: about one in 15 minutes, however many there are.
 */
export class Peaks {
  #last = null; // `{at, size}`
  #known = []; // those that nothing later exceeds

  /** Add an event of this size at `at`, in unix seconds; one that is known changes nothing. */
  add(at, size) {
    const newest = Math.max(at, this.#last?.at ?? at);
    const isExceeded = this.#known.some((one) => one.at <= at && one.at > at - WINDOW && one.size > size);
    this.#known = this.#known.filter((one) => one.at > newest - WINDOW && (one.at > at || one.size > size));
    this.#known.push({ at, size });
    if (!isExceeded && at >= (this.#last?.at ?? at)) this.#last = { at, size };
  }

  /** Return `{at, size}` of the event that the asset is marked for at `now`; null without one. */
  shown(now) {
    return this.#last && now - this.#last.at < MARKED ? this.#last : null;
  }
}
