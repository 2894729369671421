// Counts the prices of each second of the last minute.

import { mark, write } from "./dom.js";

const SECONDS = 60;

export class Pulse {
  #counts = new Array(SECONDS).fill(0);

  constructor(svg, figure) {
    this.path = svg.firstElementChild;
    this.figure = figure;
  }

  count() {
    this.#counts[SECONDS - 1] += 1;
  }

  /** Start the next second. */
  tick() {
    const most = Math.max(4, ...this.#counts);
    const bars = this.#counts.map((count, index) => (count ? `M${4 * index + 2} 36V${36 - (34 * count) / most}` : ""));
    mark(this.path, "d", bars.join(""));
    write(this.figure, String(this.#counts.reduce((sum, count) => sum + count, 0)));
    this.#counts.shift();
    this.#counts.push(0);
  }
}
