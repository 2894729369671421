// The elements of a row of the table, and what is written into them.

import { draw, make, mark, write } from "./dom.js";
import * as format from "./format.js";
import { dayOf, volumeOf } from "./market.js";
import { sparkline } from "./spark.js";

const [WIDE, HIGH] = [128, 34]; // the view box of a sparkline
const MARKS = { anomaly: "anomaly", volume: "\u25b2", single: "1 venue", stale: "stale" };

/** Return the head cells by the key of their column. */
export function headOf(columns) {
  return Object.fromEntries(columns.map(({ key, label, sort, title }) => {
    const text = key === "watch" ? make("span", { class: "said" }, label) : label;
    const inner = sort ? make("button", { type: "button", "data-key": sort, title }, text) : text;
    return [key, make("span", { role: "columnheader", class: key }, inner)];
  }));
}

/** Return the elements of a row; `cells` has its cells by the key of their column. */
export function newSlot(number, columns) {
  const slot = { index: -1, row: null, sides: null, drawn: null, cells: {}, marks: {} };
  slot.star = make("button", { type: "button", class: "star", tabindex: "-1", "aria-pressed": "false" }, "\u2606");
  slot.avatar = make("i", { class: "avatar", "aria-hidden": "true" });
  slot.base = make("b");
  slot.quote = make("small");
  slot.link = make("a", { tabindex: "-1" }, slot.base, slot.quote);
  for (const [name, text] of Object.entries(MARKS)) slot.marks[name] = make("span", { role: "img", class: `mark is-${name}`, hidden: "" }, text);
  slot.value = make("span");
  slot.glow = make("i", { class: "glow", "aria-hidden": "true" });
  slot.change = make("span", { class: "figure" });
  slot.since = make("small", { hidden: "" });
  slot.area = draw("path", { class: "area" });
  slot.line = draw("path", { class: "line" });
  const box = { viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: "none", "aria-hidden": "true" };
  slot.chart = draw("svg", box, slot.area, slot.line);
  slot.high = make("span");
  slot.low = make("span");
  slot.dots = make("i", { class: "dots", "aria-hidden": "true" });
  slot.count = make("span");
  slot.tier = make("span", { class: "pill" });
  const children = {
    watch: [slot.star],
    asset: [slot.avatar, slot.link, make("span", { class: "marks" }, ...Object.values(slot.marks))],
    price: [make("span", {}, slot.glow, slot.value)],
    day: [slot.change, slot.since],
    spark: [slot.chart],
    range: [slot.high, slot.low],
    venues: [slot.dots, slot.count],
    tier: [slot.tier],
  };
  for (const { key } of columns) slot.cells[key] = make("span", { role: "gridcell", class: key }, ...(children[key] ?? []));
  slot.element = make("div", { class: "row", role: "row", id: `row-${number}` }, ...Object.values(slot.cells));
  return slot;
}

/** Write the parts of a row that depend on the asset only. */
export function name(slot, row) {
  if (slot.row !== row) slot.flash?.cancel();
  slot.row = row;
  slot.sides = row.base; // known a moment after the first prices
  const [base, quote] = drawAvatar(slot.avatar, row);
  write(slot.base, base);
  write(slot.quote, quote);
  mark(slot.link, "href", `#${row.symbol}`);
  mark(slot.star, "aria-label", `Watch ${base} ${quote}`.trim());
  slot.element.dataset.symbol = row.symbol;
  slot.drawn = null;
}

/** Write the letters of an asset into its circle, and return its base and quote. */
export function drawAvatar(avatar, row) {
  const [base, quote] = format.pair(row);
  write(avatar, base.slice(0, base.length > 3 ? 1 : 3));
  avatar.style.setProperty("--hue", format.hue(base));
  return [base, quote];
}

/** Write the parts of a row that change. */
export function fill(slot, row, { now, staleAfter, exchanges, watched, open }) {
  const known = row.price !== null;
  const age = known ? now - row.timestamp : null;
  const stale = known && age > staleAfter(row.tier);
  const isWatched = watched.has(row.symbol);
  const { cells } = slot;
  mark(slot.star, "aria-pressed", String(isWatched));
  write(slot.star, isWatched ? "\u2605" : "\u2606");
  write(cells.rank, String(row.rank));
  write(slot.value, format.price(row.price));
  drawDay(slot, row, now);
  const volume = volumeOf(row);
  write(cells.volume, volume === null ? "\u2013" : format.volume(volume));
  mark(cells.volume, "title", volume === null ? null : `${format.volume(row.day.volume)} ${row.base.toUpperCase()}`);
  const ranged = row.day?.reference ? row.day : null;
  write(slot.high, ranged ? format.price(ranged.high) : "\u2013");
  write(slot.low, ranged ? format.price(ranged.low) : "");
  write(cells.age, format.age(age));
  mark(slot.element, "data-stale", stale ? "true" : null);
  mark(slot.element, "data-tier", row.tier);
  mark(slot.element, "data-open", open === row ? "true" : null);
  write(slot.tier, row.tier);
  const short = known && row.degraded;
  write(slot.count, !known ? "\u2013" : short && exchanges ? `${row.sources} of ${exchanges}` : String(row.sources));
  mark(slot.dots, "data-state", !known ? null : short ? "warn" : "good");
  write(cells.gap, known && row.sources > 1 ? format.percent(row.spread, 3) : "\u2013");
  drawMarks(slot, row, { now, stale, isSingle: known && row.sources === 1 && exchanges > 1 });
  drawSpark(slot, row);
}

function drawDay(slot, row, now) {
  const { change, since } = dayOf(row);
  write(slot.change, format.change(change));
  mark(slot.cells.day, "data-way", format.direction(change));
  slot.since.hidden = since === null;
  if (since !== null) write(slot.since, `over ${format.span(now - since)}`);
  mark(slot.cells.day, "title", since === null ? null : format.missing(row.day));
}

function drawMarks(slot, row, { now, stale, isSingle }) {
  const volume = row.volumes.shown(now);
  const anomaly = row.anomalies.shown(now);
  const titles = {
    anomaly: anomaly && `Unusual trade: score ${format.signed(-anomaly.size, 2)} at ${format.clock(anomaly.at)}, the lowest of 15 minutes`,
    volume: volume && `Unusual volume: z-score ${format.signed(volume.size, 1)} at ${format.clock(volume.at)}, the highest of 15 minutes`,
    single: isSingle && "Only one venue has a usable price: nothing confirms it",
    stale: stale && "Older than it should be",
  };
  for (const [name, title] of Object.entries(titles)) {
    const element = slot.marks[name];
    if (element.hidden !== !title) element.hidden = !title;
    if (!title) continue;
    mark(element, "title", title);
    mark(element, "aria-label", title);
  }
}

function drawSpark(slot, row) {
  const points = row.points ?? [];
  if (slot.drawn !== null && slot.points === points && slot.at === row.timestamp) return;
  slot.points = points;
  slot.at = row.timestamp;
  const { line, area } = sparkline(points, WIDE, HIGH);
  if (slot.drawn === line) return;
  slot.drawn = line;
  slot.line.setAttribute("d", line);
  slot.area.setAttribute("d", area);
  mark(slot.chart, "data-way", points.length ? Math.sign(points.at(-1)[1] - points[0][1]) : 0);
}
