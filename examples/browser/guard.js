// A guard in the browser: the file that `simdnn export` wrote, run by ONNX Runtime for the web. No image leaves the page.

import * as ort from "onnxruntime-web";
import { metadataOf } from "./metadata.js";
import { decode, prepare } from "./pixels.js";

ort.env.wasm.numThreads = 1; // more need a server that isolates the page from other origins

export class Guard {
  /** Load a guard's ONNX file from an address. */
  static async load(address) {
    const answer = await fetch(address);
    if (!answer.ok) throw new Error(`expected a guard at ${address}, got status ${answer.status}`);
    const bytes = new Uint8Array(await answer.arrayBuffer());
    const metadata = metadataOf(bytes);
    if (metadata["simdnn.threshold"] === undefined) {
      throw new Error(`expected a file that \`simdnn export\` wrote, got another ONNX file: ${address}`);
    }
    return new Guard(await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] }), metadata);
  }

  constructor(session, metadata) {
    const { inputNames, outputNames } = session;
    if (!outputNames.includes("attack")) {
      throw new Error(
        "expected a guard whose graph decides; one with a second opinion or of the rule `published` needs `simdnn check`",
      );
    }
    if (inputNames.length > 1) throw new Error(`expected a guard with one network, got one with ${inputNames.length}`);
    this.session = session;
    this.classes = JSON.parse(metadata["simdnn.classes"]);
    this.threshold = JSON.parse(metadata["simdnn.threshold"]);
    [this.preprocess] = JSON.parse(metadata["simdnn.preprocess"]);
  }

  /**
   * Judge one image file.
   * @param {Blob} file
   * @returns {Promise<{verdict: "clean" | "attack", score: number, classifierLabel: string}>}
   */
  async check(file) {
    const pixels = prepare(await decode(file), this.preprocess);
    const [height, width] = this.preprocess.size;
    const images = new ort.Tensor("float32", pixels, [1, 3, height, width]);
    const { score, attack, logits } = await this.session.run({ images }, ["score", "attack", "logits"]);
    const best = logits.data.reduce((top, value, i, all) => (value > all[top] ? i : top), 0);
    return { verdict: attack.data[0] ? "attack" : "clean", score: score.data[0], classifierLabel: this.classes[best] };
  }
}
