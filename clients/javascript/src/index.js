export { Client } from "./client.js";
export { ConnectionFailed, InvalidAnswer, Refused } from "./errors.js";
export { RETRIES } from "./retries.js";
