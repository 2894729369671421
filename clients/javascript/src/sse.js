/**
 * @typedef {object} ServerSentEvent
 * @property {string} name
 * @property {string} data
 * @property {string} id of this event, or of the last one before it that had an id
 */

/** A parser of Server-Sent Events, as the HTML standard defines them. It takes text however this is cut. */
export class Parser {
  /** @param {string} id of the event before the first one */
  constructor(id = "") {
    this.id = id;
    /** @type {number | null} seconds after which the server wants a client to reconnect */
    this.retry = null;
    this.rest = "";
    this.newId = id;
    this.name = "message";
    /** @type {string[]} */
    this.data = [];
  }

  /**
   * Yield the events that end in this text.
   * @param {string} text
   * @returns {Generator<ServerSentEvent>}
   */
  *feed(text) {
    // A return at the end may be half of a line end: it waits for the next character.
    const lines = (this.rest + text).split(/\r\n|\n|\r(?!$)/);
    this.rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line) this.field(line);
      else yield* this.dispatched();
    }
  }

  /** @param {string} line */
  field(line) {
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "data") this.data.push(value);
    else if (name === "event") this.name = value;
    else if (name === "id" && !value.includes("\0")) this.newId = value;
    else if (name === "retry" && /^\d+$/.test(value)) this.retry = Number(value) / 1000;
  }

  /** @returns {Generator<ServerSentEvent>} */
  *dispatched() {
    this.id = this.newId;
    const [name, data] = [this.name, this.data.join("\n")];
    this.name = "message";
    this.data = [];
    if (data) yield { name, data, id: this.id };
  }
}
