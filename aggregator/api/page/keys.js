// Keyboard control: / searches, arrow keys move the selection, Enter opens an asset, W watches it, Escape goes back.

/**
 * Handle keys for ever. `open(symbol)` opens an asset, `watch(symbol)` puts it on the watchlist or takes it off, `close()`
 * closes the open asset and returns whether there was one, `clear()` clears the search, `soon()` draws the next frame.
 */
export function listen({ table, search, open, watch, close, clear, soon }) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog:modal")) return;
    if (event.key === "/" && event.target !== search) {
      event.preventDefault();
      search.focus();
      search.select();
    }
  });

  search.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      if (search.value) {
        search.value = "";
        clear();
      } else {
        search.blur();
      }
      event.preventDefault();
    } else if (event.key === "ArrowDown" || event.key === "Enter") {
      event.preventDefault();
      if (event.key === "Enter" && table.rows.length) {
        open(table.rows[0].symbol);
        return;
      }
      table.grid.focus({ preventScroll: true });
      table.move(0, 0);
      soon();
    }
  });

  table.grid.addEventListener("keydown", (event) => {
    if (event.target !== table.grid || event.ctrlKey || event.metaKey || event.altKey) return; // a button of the head
    const last = table.rows.length - 1;
    const moves = {
      ArrowDown: [1], ArrowUp: [-1], PageDown: [table.page], PageUp: [-table.page], Home: [0, 0], End: [0, last],
    };
    if (moves[event.key]) {
      table.move(...moves[event.key]);
    } else if (event.key === "Enter" && table.selected) {
      open(table.selected);
    } else if (event.key.toLowerCase() === "w" && table.selected) {
      watch(table.selected);
    } else if (event.key === "Escape" && (close() || table.selected)) {
      table.selected = null;
    } else {
      return;
    }
    event.preventDefault();
    soon();
  });
}
