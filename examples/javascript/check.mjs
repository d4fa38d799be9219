// Runs a model that ResLab exported in JavaScript and compares with the golden vectors that Python wrote:
//
//     reslab export MODEL --out model.onnx --golden golden
//     npm install && node check.mjs model.onnx golden
//
// Ends with 0 if the pixels are the same to the last bit and the answers within the tolerance, else with 1.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as ort from "onnxruntime-web";
import { PNG } from "pngjs";
import { header } from "./metadata.mjs";
import { prepare } from "./resize.mjs";

const [modelPath, folder] = process.argv.slice(2);
if (!folder) {
  console.error("usage: node check.mjs MODEL.onnx FOLDER");
  process.exit(2);
}
const model = readFileSync(modelPath);
const golden = JSON.parse(readFileSync(join(folder, "golden.json"), "utf8"));
const { classes, preprocess } = header(model);
const wrong = [];

if (sha256(model) !== golden.model.sha256) wrong.push(`the vectors are of another model than ${modelPath}`);
if (`${classes}` !== `${golden.classes}`) wrong.push("the model names other classes than the vectors");

ort.env.wasm.numThreads = 1;
const session = await ort.InferenceSession.create(model);
let largest = 0;
for (const row of golden.pictures) {
  const { width, height, data } = readPng(row.prepared);
  if (sha256(data) !== row.prepared_sha256) wrong.push(`${row.prepared} is not what the vectors say`);
  if (sha256(prepare(readPng(row.picture), preprocess).data) !== row.prepared_sha256)
    wrong.push(`${row.picture} gives other pixels here`);
  const images = new ort.Tensor("uint8", data, [1, height, width, 3]);
  const answer = await session.run({ images }, ["logits", "probabilities"]);
  for (const output of ["logits", "probabilities"]) {
    const difference = distance(answer[output].data, row[output]);
    if (!(difference <= golden.tolerance[output])) wrong.push(`${row.picture}: ${output} differ by ${difference}`);
    if (output === "logits") largest = Math.max(largest, difference);
  }
  const probabilities = [...answer.probabilities.data];
  const best = probabilities.indexOf(Math.max(...probabilities));
  console.log(`${row.picture}  ${classes[best]}  ${(100 * probabilities[best]).toFixed(1)} %`);
}

wrong.forEach((sentence) => console.error(`wrong: ${sentence}`));
if (wrong.length) process.exit(1);
const count = golden.pictures.length;
console.log(`${count} of ${count} agree: same pixels, logits within ${largest.toExponential(1)}`);

/** A PNG file of the folder without its alpha channel. */
function readPng(name) {
  const { width, height, data } = PNG.sync.read(readFileSync(join(folder, name)));
  return { width, height, data: Uint8Array.from(data.filter((_, i) => i % 4 < 3)) };
}

function sha256(bytes) {
  return createHash("sha256").update(bytes).digest("hex");
}

function distance(found, expected) {
  if (found.length !== expected.length) return Infinity;
  return Math.max(...expected.map((value, i) => Math.abs(found[i] - value)));
}
