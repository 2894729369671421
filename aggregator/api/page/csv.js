// The rows of the table as CSV, and the download of it.

import { make } from "./dom.js";
import { dayOf } from "./market.js";

const COLUMNS = {
  asset: (row) => row.symbol,
  base: (row) => row.base,
  quote: (row) => row.quote,
  price: (row) => row.price,
  timestamp: (row) => (row.price === null ? null : row.timestamp),
  change_24h_percent: (row) => (dayOf(row).change === null || dayOf(row).since !== null ? null : Number((100 * dayOf(row).change).toFixed(4))),
  high_24h: (row) => row.day?.high,
  low_24h: (row) => row.day?.low,
  volume_24h: (row) => row.day?.volume,
  venues: (row) => (row.price === null ? null : row.sources),
  venue_gap: (row) => (row.price === null || row.sources < 2 ? null : row.spread),
  tier: (row) => row.tier,
};

/** Return these rows as CSV (RFC 4180) with a header. A value that is not known is empty. Volumes are in the base asset. */
export function csvOf(rows) {
  const lines = rows.map((row) => Object.values(COLUMNS).map((valueOf) => cell(valueOf(row))).join(","));
  return `${[Object.keys(COLUMNS).join(","), ...lines].join("\r\n")}\r\n`;
}

function cell(value) {
  const text = String(value ?? "");
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Let the user save a text as a file. */
export function save(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
