// Print every new price of an asset: node watch.mjs http://localhost:8080 btcusdt [KEY]

import { Client } from "../src/index.js";

const [url = "http://localhost:8080", asset = "btcusdt", apiKey] = process.argv.slice(2);
const client = new Client(url, { apiKey });
const onLost = (failure, seconds) => console.error(`${failure.message}; again in ${seconds.toFixed(1)} s`);

for await (const { type, data } of client.stream({ assets: [asset], onLost })) {
  if (type === "price") console.log(data.timestamp_iso, data.price);
  else if (type === "gap") console.error(data.msg);
}
