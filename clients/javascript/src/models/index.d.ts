// `scripts/client_models` makes this file from /openapi.json. A test checks it.
export type * from "./alerts.js";
export type * from "./analytics.js";
export type * from "./history.js";
export type * from "./paper.js";
export type * from "./prices.js";
export type * from "./service.js";
export type * from "./trades.js";
