// Draw docs/diagrams/*.dot as docs/images/*.svg with Graphviz: node scripts/diagrams.mjs [FOLDER]. ./test.sh installs it.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { instance } from "../tests/node_modules/@viz-js/viz/dist/viz.js";

const sources = new URL("../docs/diagrams/", import.meta.url).pathname;
const target = process.argv[2] ?? new URL("../docs/images/", import.meta.url).pathname;
const font = "Helvetica,Arial,sans-serif";
const viz = await instance();
for (const file of readdirSync(sources).filter((name) => name.endsWith(".dot"))) {
  const svg = viz.renderString(readFileSync(join(sources, file), "utf8"), {
    format: "svg",
    graphAttributes: { rankdir: "LR", fontname: font, fontsize: 12, nodesep: 0.25, ranksep: 0.4, bgcolor: "white" },
    nodeAttributes: {
      shape: "box", style: "rounded,filled", fillcolor: "#eef3fb", color: "#4a6fa5", fontname: font, fontsize: 11,
      margin: "0.3,0.07", // room for fonts that are wider than the one that Graphviz measures with
    },
    edgeAttributes: { color: "#555555", fontname: font, fontsize: 10, arrowsize: 0.7 },
  });
  writeFileSync(join(target, `${basename(file, ".dot")}.svg`), svg);
}
