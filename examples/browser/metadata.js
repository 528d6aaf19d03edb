// What a guard's ONNX file says of itself: ONNX Runtime for the web runs the graph, but does not show `metadata_props`.

const METADATA_PROPS = 14; // field of ModelProto; its entries have the fields 1 (key) and 2 (value)
const SIZES = { 1: 8, 5: 4 }; // bytes of values of fixed length, by wire type

/**
 * Read the metadata of a serialised ONNX model.
 * @param {Uint8Array} bytes the whole file
 * @returns {Object<string, string>} texts by their names, such as `simdnn.threshold`
 */
export function metadataOf(bytes) {
  const text = new TextDecoder();
  const found = {};
  for (const [field, entry] of fieldsOf(bytes)) {
    if (field !== METADATA_PROPS) continue;
    const parts = new Map(fieldsOf(entry));
    found[text.decode(parts.get(1))] = text.decode(parts.get(2));
  }
  return found;
}

/** Yield the number and the bytes of each field of a Protocol Buffers message; numbers of varying length are skipped. */
function* fieldsOf(bytes) {
  let at = 0;
  const varint = () => {
    for (let value = 0, unit = 1; at < bytes.length; unit *= 128) {
      const byte = bytes[at++];
      value += (byte & 127) * unit; // not by shifts: lengths may exceed 31 bits
      if (byte < 128) return value;
    }
    throw new Error("expected a whole ONNX file, got a truncated one");
  };
  while (at < bytes.length) {
    const tag = varint();
    const [field, kind] = [Math.floor(tag / 8), tag % 8];
    if (kind === 0) {
      varint();
      continue;
    }
    const length = kind === 2 ? varint() : SIZES[kind];
    if (length === undefined || at + length > bytes.length) {
      throw new Error("expected a whole ONNX file, got something else or a truncated one");
    }
    yield [field, bytes.subarray(at, at + length)];
    at += length;
  }
}
