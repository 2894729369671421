// The sources of a price: each exchange's ticker and weight, or why it was left out.

import { make } from "./dom.js";
import * as format from "./format.js";

/** Return the table rows of a response of GET /prices/{asset}/sources. */
export function sourceRows(body, now) {
  const used = body.sources.map((source) => row(source, body.price, now, weight(source.weight)));
  const left = body.left_out.map((one) => row(one, body.price, now, out(one)));
  return byName([...used, ...left]);
}

/** Return a paragraph: why there is no price or no newer one, with each exchange's reason. */
export function refusedRows(message, leftOut, now) {
  const head = make("tr", { class: "refused" }, make("td", { colspan: "6", class: "out" }, message));
  return [head, ...byName(leftOut.map((one) => row(one, null, now, out(one))))];
}

/** Return `[venue, timestamp, price]` of the sources of a price. */
export function venuesOf({ timestamp, sources }) {
  return sources.map((source) => [source.exchange, timestamp, source.price]);
}

function byName(rows) {
  return rows.sort((one, other) => one.dataset.exchange.localeCompare(other.dataset.exchange));
}

function row(one, price, now, last) {
  const said = typeof one.price === "number" ? ticker(one, price, now) : [];
  if (!said.length) last.setAttribute("colspan", "5"); // it has no ticker to show
  const head = make("th", { scope: "row" }, one.exchange);
  return make("tr", { "data-exchange": one.exchange, "data-out": one.reason ?? null }, head, ...said, last);
}

function ticker(one, price, now) {
  return [
    make("td", { class: "number" }, format.price(one.price)),
    make("td", { class: "number" }, price === null ? "\u2013" : format.basisPoints(one.price / price - 1)),
    make("td", { class: "number" }, one.volume ? format.volume(one.volume) : "\u2013"),
    make("td", { class: "number behind" }, one.timestamp ? format.behind(now - one.timestamp) : "\u2013"),
  ];
}

function weight(share) {
  const bar = make("i", { "aria-hidden": "true" });
  bar.style.setProperty("--share", share);
  return make("td", { class: "weight" }, bar, make("span", {}, format.percent(share)));
}

function out(one) {
  const title = one.detail ? `${format.reason(one.reason)}: ${one.detail}` : null;
  return make("td", { class: "out", title }, `left out: ${format.reason(one.reason)}`);
}
