// The assets that have moved most in 24 hours, and those whose venues differ most.

import { make, mark, write } from "./dom.js";
import * as format from "./format.js";
import { dayOf } from "./market.js";

const SHOWN = 3; // assets in a list
const LISTS = { up: "Gainers", down: "Losers", gap: "Widest venue gaps" };

/**
 * Return the rows of each list, `{up, down, gap}`, and `isDay`: whether changes are those of 24 hours. Until half of
 * the assets have a price of 24 hours ago, they count from the oldest known prices. Pure.
 */
export function moversOf(rows) {
  const priced = [...rows].filter((row) => row.price !== null);
  const isDay = 2 * priced.filter((row) => dayOf(row).since === null).length >= priced.length;
  const moved = priced.map((row) => ({ row, ...dayOf(row) })).filter((one) => !isDay || one.since === null);
  moved.sort((one, other) => other.change - one.change);
  const gaps = priced.filter((row) => row.sources > 1).sort((one, other) => other.spread - one.spread);
  return {
    isDay,
    up: moved.slice(0, SHOWN).filter((one) => one.change > 0).map((one) => one.row),
    down: moved.slice(-SHOWN).reverse().filter((one) => one.change < 0).map((one) => one.row),
    gap: gaps.slice(0, SHOWN),
  };
}

export class Movers {
  /** `open(symbol)` opens an asset. */
  constructor(element, open) {
    this.parts = {};
    for (const [name, label] of Object.entries(LISTS)) element.append(this.#list(name, label));
    element.addEventListener("click", (event) => {
      const symbol = event.target.closest("button")?.dataset.symbol;
      if (symbol) open(symbol);
    });
  }

  draw(rows) {
    const found = moversOf(rows);
    for (const name of ["up", "down"]) write(this.parts[name].note, found.isDay ? "24 h" : "since oldest price");
    for (const [name, part] of Object.entries(this.parts)) {
      part.items.forEach((item, index) => drawItem(item, found[name][index] ?? null, name));
      part.none.hidden = found[name].length > 0;
    }
  }

  #list(name, label) {
    const note = make("small", {}, name === "gap" ? "now" : "");
    const none = make("p", { class: "hint" }, "None yet");
    const items = Array.from({ length: SHOWN }, newItem);
    this.parts[name] = { note, none, items };
    const title = make("h2", { id: `movers-${name}` }, `${label} `, note);
    const list = make("ol", { "aria-labelledby": title.id }, ...items.map((item) => item.element));
    return make("div", { class: "mover" }, title, list, none);
  }
}

function newItem() {
  const base = make("b");
  const quote = make("small");
  const price = make("span", { class: "amount-small" });
  const value = make("span", { class: "change" });
  const button = make("button", { type: "button" }, make("span", {}, base, quote), price, value);
  return { base, quote, price, value, button, element: make("li", { hidden: "" }, button) };
}

function drawItem(item, row, name) {
  item.element.hidden = row === null;
  if (row === null) return;
  const [base, quote] = format.pair(row);
  write(item.base, base);
  write(item.quote, quote);
  write(item.price, format.price(row.price));
  const change = dayOf(row).change;
  write(item.value, name === "gap" ? format.percent(row.spread, 2) : format.change(change));
  mark(item.value, "data-way", name === "gap" ? null : format.direction(change));
  mark(item.button, "data-symbol", row.symbol);
}
