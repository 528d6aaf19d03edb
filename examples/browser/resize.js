// Resize as Pillow does, to the byte: the guard must see the same pixels in a browser as in `simdnn check`.
// A canvas's own resize differs between browsers, and from Pillow's.

const PRECISION = 22; // bits after the point of a weight
const HALF = 2 ** (PRECISION - 1);

/** Weight of a pixel at a distance, in pixels of the coarser grid, and the largest distance with a weight. */
const FILTERS = {
  bilinear: { reach: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: {
    reach: 2,
    weight: (x) => {
      const [d, a] = [Math.abs(x), -0.5];
      if (d < 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
      return d < 2 ? (((d - 5) * d + 8) * d - 4) * a : 0;
    },
  },
};

/**
 * Resize an RGB picture; a side that keeps its length is not resampled.
 * @param {{width: number, height: number, data: Uint8ClampedArray}} picture three bytes for each pixel, row by row
 * @param {"bilinear" | "bicubic"} interpolation both antialias
 */
export function resize(picture, width, height, interpolation) {
  const filter = FILTERS[interpolation];
  if (filter === undefined) throw new Error(`expected bilinear or bicubic, got ${interpolation}`);
  const shrinks = picture.height - height;
  const tall = shrinks > 0 && shrinks > 2 * (picture.width - width); // Pillow 13's order; each pass rounds to 8 bits
  return tall
    ? across(down(picture, height, filter), width, filter)
    : down(across(picture, width, filter), height, filter);
}

/** For each place of the result: the first pixel that it depends on, and the weights from there on, as whole numbers. */
function weightsOf(from, to, { reach, weight }) {
  const scale = from / to;
  const coarse = Math.max(scale, 1);
  return Array.from({ length: to }, (_, place) => {
    const centre = (place + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - reach * coarse + 0.5));
    const end = Math.min(from, Math.trunc(centre + reach * coarse + 0.5));
    const inverse = 1 / coarse;
    const raw = Array.from({ length: end - first }, (_, i) => weight((i + first - centre + 0.5) * inverse));
    const sum = raw.reduce((total, value) => total + value, 0);
    return { first, weights: raw.map((value) => fixed(sum === 0 ? value : value * (1 / sum))) };
  });
}

function fixed(weight) {
  return Math.trunc(weight * 2 ** PRECISION + (weight < 0 ? -0.5 : 0.5));
}

function across(picture, to, filter) {
  const { width, height, data } = picture;
  if (width === to) return picture;
  const out = new Uint8ClampedArray(3 * to * height);
  weightsOf(width, to, filter).forEach(({ first, weights }, x) => {
    for (let y = 0; y < height; y++) blend(out, 3 * (y * to + x), data, 3 * (y * width + first), 3, weights);
  });
  return { width: to, height, data: out };
}

function down(picture, to, filter) {
  const { width, height, data } = picture;
  if (height === to) return picture;
  const out = new Uint8ClampedArray(3 * width * to);
  weightsOf(height, to, filter).forEach(({ first, weights }, y) => {
    for (let x = 0; x < width; x++) {
      blend(out, 3 * (y * width + x), data, 3 * (first * width + x), 3 * width, weights);
    }
  });
  return { width, height: to, data: out };
}

/** Write one pixel: the weighted sum of pixels that lie `step` bytes apart. Clamped arrays cut off at 0 and 255. */
function blend(out, at, data, start, step, weights) {
  for (let channel = 0; channel < 3; channel++) {
    let sum = HALF;
    for (let i = 0; i < weights.length; i++) sum += weights[i] * data[start + channel + i * step];
    out[at + channel] = sum >> PRECISION;
  }
}
