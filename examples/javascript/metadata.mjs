// What an ONNX file says about itself. ONNX Runtime's JavaScript API does not give the metadata, so it is read here:
// an ONNX file is a protocol buffer, whose field 14 holds the entries, each with a key (1) and a value (2).

/** The header that ResLab writes into a model: classes, preprocess, calibration, scores and more. */
export function header(model) {
  for (const [field, entry] of fields(model)) {
    if (field !== 14) continue;
    const { 1: key, 2: value } = Object.fromEntries([...fields(entry)].map(([number, bytes]) => [number, text(bytes)]));
    if (key === "reslab") return JSON.parse(value);
  }
  throw new Error("ResLab did not write this model");
}

/** The fields of a message that have a length, as [number, bytes]; plain numbers are passed over. */
function* fields(bytes) {
  let at = 0;
  const varint = () => {
    let [value, scale, byte] = [0, 1, 128];
    for (; byte > 127; scale *= 128) {
      byte = bytes[at++];
      value += (byte % 128) * scale;
    }
    return value;
  };
  while (at < bytes.length) {
    const [number, kind] = ((tag) => [Math.floor(tag / 8), tag % 8])(varint());
    if (kind === 0) varint();
    else if (kind === 2) {
      const length = varint();
      yield [number, bytes.subarray(at, at + length)];
      at += length;
    } else at += kind === 1 ? 8 : 4;
  }
}

const text = (bytes) => new TextDecoder().decode(bytes);
