// From a decoded picture to the network's pixels: section 2 of docs/en/reference/pixels.md, byte for byte. Needs nothing.
//
// A picture is { width, height, data }: red, green and blue of every pixel, row by row, each 0 to 255.

const FILTERS = {
  bilinear: [1, (x) => Math.max(0, 1 - x)],
  bicubic: [2, (x) => (x < 1 ? (1.5 * x - 2.5) * x * x + 1 : x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0)],
};

/** The picture as `size` x `size` pixels; `how` is the model's own { size, resize, interpolation }. */
export function prepare(picture, how) {
  const { size, resize: rule, interpolation } = how;
  const { width, height } = picture;
  if (width === size && height === size) return picture;
  if (rule === "pad") return padded(picture, size, interpolation);
  const side = Math.min(width, height);
  const [left, upper] = [(width - side) / 2, (height - side) / 2];
  const box = rule === "crop" ? [left, upper, left + side, upper + side] : [0, 0, width, height];
  return resize(picture, size, size, box, interpolation);
}

/** The box [left, upper, right, lower] of a picture at a new width and height: rows first, then columns. */
export function resize(picture, width, height, [left, upper, right, lower], interpolation) {
  const rows = resizeRows(picture, width, left, right, interpolation);
  return transposed(resizeRows(transposed(rows), height, upper, lower, interpolation));
}

function resizeRows({ width, height, data }, size, start, end, interpolation) {
  const result = new Uint8Array(height * size * 3);
  for (let x = 0; x < size; x++) {
    const [first, weights] = fixedWeights(width, size, start, end, x, interpolation);
    for (let y = 0; y < height; y++) {
      for (let channel = 0; channel < 3; channel++) {
        let sum = 2 ** 21; // half of what the shift below takes away
        weights.forEach((weight, i) => (sum += weight * data[(y * width + first + i) * 3 + channel]));
        result[(y * size + x) * 3 + channel] = Math.min(255, Math.max(0, sum >> 22));
      }
    }
  }
  return { width: size, height, data: result };
}

/** Which pixels of a row make pixel x of the result, from the first one on, with weights of 22 bits after the point. */
function fixedWeights(width, size, start, end, x, interpolation) {
  const [reach, filter] = FILTERS[interpolation];
  const scale = (end - start) / size;
  const stretch = Math.max(scale, 1);
  const center = start + (x + 0.5) * scale;
  const first = Math.max(0, Math.trunc(center - reach * stretch + 0.5));
  const last = Math.min(width, Math.trunc(center + reach * stretch + 0.5));
  const weights = [];
  for (let i = first; i < last; i++) weights.push(filter(Math.abs((i - center + 0.5) / stretch)));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return [first, weights.map((weight) => Math.trunc((weight / total) * 2 ** 22 + Math.sign(weight) * 0.5))];
}

function padded(picture, size, interpolation) {
  const { width, height } = picture;
  const scale = size / Math.max(width, height);
  const [w, h] = [width, height].map((side) => Math.max(1, roundHalfToEven(side * scale)));
  const inner = resize(picture, w, h, [0, 0, width, height], interpolation);
  const [left, upper] = [Math.floor((size - w) / 2), Math.floor((size - h) / 2)];
  const data = new Uint8Array(size * size * 3).fill(128);
  for (let y = 0; y < h; y++) data.set(inner.data.subarray(y * w * 3, (y + 1) * w * 3), ((upper + y) * size + left) * 3);
  return { width: size, height: size, data };
}

function transposed({ width, height, data }) {
  const result = new Uint8Array(data.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let channel = 0; channel < 3; channel++) {
        result[(x * height + y) * 3 + channel] = data[(y * width + x) * 3 + channel];
      }
    }
  }
  return { width: height, height: width, data: result };
}

function roundHalfToEven(x) {
  const up = Math.floor(x + 0.5);
  return up - x === 0.5 && up % 2 ? up - 1 : up;
}
