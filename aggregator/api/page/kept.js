// Keeps choices of the user in the browser: the watchlist and the columns.

/** Return the list of texts under this name; null if none is kept or storage is disabled. */
export function kept(name) {
  try {
    const found = JSON.parse(localStorage.getItem(name));
    return Array.isArray(found) ? found.filter((one) => typeof one === "string") : null;
  } catch {
    return null;
  }
}

/** Keep a list of texts. Where storage is disabled it is lost when the page closes. */
export function keep(name, list) {
  try {
    localStorage.setItem(name, JSON.stringify(list));
  } catch {
    // storage is disabled or full
  }
}
