// A candle chart in SVG with axes, and bars of volume below the candles. A crosshair follows the pointer or the arrow keys.

import { draw, make, mark, write } from "./dom.js";
import * as format from "./format.js";
import { LEGEND, markOf, placed } from "./marks.js";
import { candleScale, round, slotsFor, ticks, timeStep, volumeHeights } from "./scale.js";

const RIGHT = 82; // width of the price axis
const BOTTOM = 24; // height of the time axis
const VOLUMES = 0.16; // part of the height that bars of volume take at most

export class CandleChart {
  #candles = [];
  #interval = 60;
  #scale = null;
  #volumes = new Map(); // by start of a candle
  #entries = []; // events to mark, newest first
  #at = null; // the start of the candle under the crosshair

  constructor(host) {
    this.legend = make("p", { class: "legend", "aria-live": "off" });
    this.svg = draw("svg", { tabindex: "0", role: "img", "aria-label": "Candles" });
    this.grid = draw("g", { class: "grid" });
    this.volumes = draw("g", { class: "volumes" });
    this.bars = draw("g", { class: "bars" });
    this.marks = draw("g", { class: "marks" });
    this.last = draw("g", { class: "last" });
    this.cross = draw("path", { class: "cross" });
    this.svg.append(this.grid, this.volumes, this.bars, this.marks, this.last, this.cross);
    this.note = make("p", { class: "note" });
    this.meaning = make("p", { class: "hint", hidden: "" }, LEGEND);
    host.append(this.legend, make("div", { class: "canvas" }, this.svg, this.note), this.meaning);
    this.svg.addEventListener("pointermove", (event) => this.#point(event));
    this.svg.addEventListener("pointerleave", () => this.#pick(null));
    this.svg.addEventListener("keydown", (event) => this.#key(event));
    this.svg.addEventListener("blur", () => this.#pick(null));
    this.resized = new ResizeObserver(() => this.draw());
    this.resized.observe(this.svg);
  }

  /** Show candles of `interval` seconds. The array may grow; `draw` shows its current content. */
  show(candles, interval) {
    this.#candles = candles;
    this.#interval = interval;
    this.#volumes = new Map();
    this.#at = null;
    this.say(candles.length ? "" : "No prices stored yet for this interval.");
    this.draw();
  }

  /** Show a message in place of the candles, or remove it. */
  say(text) {
    write(this.note, text);
    this.note.hidden = !text;
  }

  /** Draw. `volumes` has the volume of trades by the start of a candle; without it, those of the last call. */
  draw(volumes = this.#volumes) {
    this.#volumes = volumes;
    const { width, height } = this.svg.getBoundingClientRect();
    if (!width || !this.#candles.length) {
      for (const part of [this.grid, this.volumes, this.bars, this.marks, this.last]) part.replaceChildren();
      this.#scale = null;
      this.#pick(null);
      return;
    }
    mark(this.svg, "viewBox", `0 0 ${width} ${height}`);
    const box = { left: 4, right: width - RIGHT, top: 8, bottom: height - BOTTOM };
    const slots = slotsFor(this.#candles, this.#interval, box.right - box.left);
    this.box = box;
    const candles = volumes.size ? { ...box, bottom: box.bottom - VOLUMES * (box.bottom - box.top) } : box;
    this.#scale = candleScale(this.#candles, this.#interval, candles, slots);
    this.#drawGrid(width, height);
    this.bars.replaceChildren(...this.#scale.shown.map((candle) => this.#bar(candle)));
    this.#drawVolumes();
    this.#drawMarks();
    this.#drawLast();
    this.#pick(this.#at);
  }

  #drawGrid(width, height) {
    const { low, high, x, y, shown, width: slot } = this.#scale;
    const lines = [];
    for (const value of ticks(low, high, Math.max(2, Math.floor(height / 56)))) {
      const at = round(y(value));
      lines.push(draw("path", { d: `M${this.box.left} ${at}H${this.box.right}` }));
      lines.push(draw("text", { x: width - RIGHT + 8, y: at + 4 }, format.price(value)));
    }
    const step = timeStep(this.#interval, slot);
    const offset = this.#interval >= 86400 ? 0 : 60 * new Date(1000 * shown[0].start).getTimezoneOffset();
    const newest = shown.at(-1).start;
    const oldest = newest - (Math.round((this.box.right - this.box.left) / slot) - 1) * this.#interval;
    for (let time = Math.ceil((oldest - offset) / step) * step + offset; time <= newest; time += step) {
      const at = round(x(time));
      if (at < this.box.left + 16 || at > this.box.right - 8) continue;
      lines.push(draw("text", { x: at, y: height - 6, class: "time" }, format.moment(time, this.#interval)));
    }
    this.grid.replaceChildren(...lines);
  }

  #bar(candle) {
    const { x, y, width } = this.#scale;
    const middle = round(x(candle.start));
    const half = Math.max(1, Math.min(7, width * 0.34));
    const [top, bottom] = [y(Math.max(candle.open, candle.close)), y(Math.min(candle.open, candle.close))];
    const tall = Math.max(1.2, bottom - top);
    return draw(
      "g", { class: candle.close >= candle.open ? "up" : "down" },
      draw("path", { d: `M${middle} ${round(y(candle.high))}V${round(y(candle.low))}` }),
      draw("rect", { x: round(middle - half), y: round(top), width: round(2 * half), height: round(tall), rx: Math.min(1.5, half / 2) }),
    );
  }

  #drawVolumes() {
    const { shown, x, width } = this.#scale;
    const half = Math.max(1, Math.min(7, width * 0.34));
    const heights = volumeHeights(shown, this.#volumes, VOLUMES * (this.box.bottom - this.box.top));
    this.volumes.replaceChildren(...heights.map(({ candle, height }) => draw("rect", {
      class: candle.close >= candle.open ? "up" : "down", x: round(x(candle.start) - half), y: round(this.box.bottom - height),
      width: round(2 * half), height: round(height),
    })));
  }

  /** Mark events of the asset, newest first. */
  marked(entries) {
    this.#entries = entries;
    if (this.#scale) this.#drawMarks();
  }

  #drawMarks() {
    const found = placed(this.#entries, this.#scale, this.#interval, this.box);
    this.marks.replaceChildren(...found.map(markOf));
    this.meaning.hidden = !found.length;
  }

  #drawLast() {
    const last = this.#candles.at(-1);
    const at = round(this.#scale.y(last.close));
    mark(this.last, "class", `last ${last.close >= last.open ? "up" : "down"}`);
    this.last.replaceChildren(
      draw("path", { d: `M${this.box.left} ${at}H${this.box.right}` }),
      draw("rect", { x: this.box.right + 2, y: at - 10, width: RIGHT - 4, height: 20, rx: 5 }),
      draw("text", { x: this.box.right + 8, y: at + 4 }, format.price(last.close)),
    );
  }

  #point(event) {
    if (this.#scale) this.#pick(this.#scale.slot(event.clientX - this.svg.getBoundingClientRect().left));
  }

  #key(event) {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by || !this.#scale) return;
    event.preventDefault();
    const { shown } = this.#scale;
    const at = shown.findIndex((candle) => candle.start === this.#at);
    const next = at < 0 ? shown.length - 1 : Math.min(shown.length - 1, Math.max(0, at + by));
    this.#pick(shown[next].start);
    mark(this.svg, "aria-label", `Candles. ${this.legend.textContent}`);
  }

  /** Put the crosshair on the candle with this start, or remove it: the legend then shows the last candle. */
  #pick(start) {
    const found = this.#scale?.shown.find((candle) => candle.start === start);
    this.#at = found ? start : null;
    const told = found ?? this.#scale?.shown.at(-1);
    mark(this.cross, "d", found ? `M${round(this.#scale.x(start))} ${this.box.top}V${this.box.bottom}` : null);
    this.legend.replaceChildren(...(told ? legendOf(told, this.#interval, this.#volumes.get(told.start)) : []));
  }
}

function legendOf(candle, interval, volume) {
  const way = candle.close >= candle.open ? "up" : "down";
  const day = new Date(1000 * candle.start).toLocaleDateString("en", { day: "numeric", month: "short", timeZone: interval >= 86400 ? "UTC" : undefined });
  const time = interval >= 86400 ? day : `${day} ${format.clock(candle.start).slice(0, 5)}`;
  const parts = [["Open", candle.open], ["High", candle.high], ["Low", candle.low], ["Close", candle.close]];
  return [
    make("time", {}, time),
    ...parts.map(([name, value]) => make("span", {}, `${name} `, make("b", { class: way }, format.price(value)))),
    make("span", {}, `${candle.count} ${candle.count === 1 ? "price" : "prices"}`),
    ...(volume === undefined ? [] : [make("span", {}, "Volume of trades ", make("b", {}, format.volume(volume)))]),
  ];
}
