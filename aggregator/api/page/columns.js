// The columns of the table, and which of them fit into a width. Pure.

/** `wide` is the least width in rem, `grow` the share of free width, `drops` the order of leaving: 1 is the first. */
export const COLUMNS = [
  { key: "watch", label: "Watch", wide: 1.9, grow: 0, drops: null },
  { key: "rank", label: "#", wide: 2.4, grow: 0, drops: 7, sort: "rank" },
  { key: "asset", label: "Asset", wide: 13, grow: 1, drops: null, sort: "asset" },
  { key: "price", label: "Price", wide: 9, grow: 0.7, drops: null, sort: "price" },
  { key: "day", label: "24 h", wide: 6.2, grow: 0.5, drops: 11, sort: "day", title: "Change since 24 hours ago" },
  { key: "spark", label: "Last 24 h", wide: 7.5, grow: 1.4, drops: 10 },
  { key: "volume", label: "Volume 24 h", wide: 7.2, grow: 0.6, drops: 9, sort: "volume", title: "Volume of the last 24 hours in the quote asset" },
  { key: "range", label: "High / low", wide: 7.6, grow: 0.6, drops: 5, sort: "range", title: "Highest and lowest price of the last 24 hours; sorted by their distance" },
  { key: "venues", label: "Venues", wide: 5, grow: 0.4, drops: 4, sort: "venues", title: "Exchanges that the price is made of" },
  { key: "gap", label: "Venue gap", wide: 6, grow: 0.5, drops: 8, sort: "gap", title: "Highest less lowest venue, of the price" },
  { key: "age", label: "Age", wide: 5, grow: 0.4, drops: 3, sort: "age" },
  { key: "tier", label: "Tier", wide: 5.2, grow: 0.3, drops: 2, sort: "tier" },
];

const GAP = 0.9; // rem between two columns
const SIDES = 2; // rem of padding

/** Columns that a user may hide. */
export const OPTIONAL = COLUMNS.filter((column) => column.drops !== null);

/** Return the columns that are chosen and fit into `width` rem; the others leave in the order of `drops`. */
export function fitting(width, hidden) {
  let shown = COLUMNS.filter((column) => column.drops === null || !hidden.has(column.key));
  const drops = shown.filter((column) => column.drops !== null).sort((one, other) => one.drops - other.drops);
  while (widthOf(shown) > width && drops.length) {
    const least = drops.shift();
    shown = shown.filter((column) => column !== least);
  }
  return shown;
}

function widthOf(columns) {
  return columns.reduce((sum, column) => sum + column.wide + GAP, SIDES - GAP);
}

/** Return the value of grid-template-columns. */
export function template(columns) {
  return columns.map((column) => (column.grow ? `minmax(${column.wide}rem, ${column.grow}fr)` : `${column.wide}rem`)).join(" ");
}
