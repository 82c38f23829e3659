// Drives asciinema-player's core, as its worker does in a browser, over a cast to
// its end, and prints what it would have shown: node play.mjs <dist> <cast>
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [dist, cast] = process.argv.slice(2);
const core = readdirSync(dist).find(name => /^core-.*\.js$/.test(name));
const { C: Core } = await import(pathToFileURL(join(dist, core)).href);
const logger = { debug() {}, log() {}, info() {}, warn: console.error, error: console.error };
const url = "data:application/octet-stream;base64," + readFileSync(cast).toString("base64");
const player = new Core({ driver: "recording", url }, { logger, speed: 1, preload: true });
const seen = { output: "", sizes: [], errors: [], metadata: null };
player.addEventListener("output", chunks => { seen.output += chunks.join(""); });
player.addEventListener("resize", ({ cols, rows }) => seen.sizes.push(`${cols}x${rows}`));
player.addEventListener("reset", ({ size }) => seen.sizes.push(`${size.cols}x${size.rows}`));
player.addEventListener("metadata", metadata => { seen.metadata = metadata; });
player.addEventListener("error", error => seen.errors.push(error));
player.terminalReady();
await player.init();
await player.seek("100%");
process.stdout.write(JSON.stringify(seen) + "\n", () => process.exit(0));
