export { Client } from "./client.js";
export { ConnectionFailed, Refused } from "./errors.js";
export { RETRIES } from "./retries.js";
