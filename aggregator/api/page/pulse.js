// Counts the prices of the last minute.

import { write } from "./dom.js";

const SECONDS = 60;

export class Pulse {
  #counts = new Array(SECONDS).fill(0);

  constructor(figure) {
    this.figure = figure;
  }

  count() {
    this.#counts[SECONDS - 1] += 1;
  }

  /** Start the next second. */
  tick() {
    write(this.figure, String(this.#counts.reduce((sum, count) => sum + count, 0)));
    this.#counts.shift();
    this.#counts.push(0);
  }
}
