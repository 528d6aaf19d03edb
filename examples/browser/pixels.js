// From an image file to the input of a network, as in `simdnn check`.

import { resize } from "./resize.js";

/** Decode an image file as a person would see it, on white where it is transparent; three bytes for each pixel. */
export async function decode(file) {
  const bitmap = await createImageBitmap(file, { colorSpaceConversion: "none" });
  const { width, height } = bitmap;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const rgba = context.getImageData(0, 0, width, height).data;
  return { width, height, data: rgba.filter((_, i) => i % 4 !== 3) };
}

/** Return the network's input, (3, H, W) in [0, 1], as simdnn.images.preprocess.Preprocess.pixels makes it. */
export function prepare(picture, { size: [height, width], resize: side, interpolation }) {
  let [left, top] = [0, 0];
  if (picture.height !== height || picture.width !== width) {
    let full = [width, height];
    if (side !== null) {
      const short = Math.min(picture.width, picture.height);
      full = [picture.width, picture.height].map((length) => Math.trunc((side * length) / short));
      [left, top] = [halfEven(full[0] - width), halfEven(full[1] - height)];
    }
    picture = resize(picture, ...full, interpolation);
  }
  const pixels = new Float32Array(3 * height * width);
  for (let channel = 0, at = 0; channel < 3; channel++) {
    for (let y = top; y < top + height; y++) {
      for (let x = left; x < left + width; x++) pixels[at++] = picture.data[3 * (y * picture.width + x) + channel] / 255;
    }
  }
  return pixels;
}

/** Half of a whole number, rounded to even as Python does. */
function halfEven(number) {
  const half = Math.floor(number / 2);
  return number % 2 !== 0 && half % 2 !== 0 ? half + 1 : half;
}
