// Binary answers about all regions at once (packed.py): places, lines of text, shapes out of WKB; and what lies in gzip.
Explore.packed = (function () {
  "use strict";

  function lines(bytes) {
    return new TextDecoder().decode(bytes).split("\n");
  }

  // GeoJSON geometries out of little-endian WKB, one behind the other.
  function shapes(bytes) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length),
      types = [, "Point", "LineString", "Polygon", "MultiPoint", "MultiLineString", "MultiPolygon"];
    let at = 0;
    const whole = () => view.getUint32((at += 4) - 4, true);
    const real = () => view.getFloat64((at += 8) - 8, true);
    const many = (one) => Array.from({ length: whole() }, one);
    const place = () => [real(), real()];
    const body = (type) =>
      type === 1 ? place() : type === 2 ? many(place) : type === 3 ? many(() => many(place)) : many(() => shape().coordinates || []);
    function shape() {
      at++; // the order of bytes
      const type = whole();
      return type === 7
        ? { type: "GeometryCollection", geometries: many(shape) }
        : { type: types[type], coordinates: body(type) };
    }
    const found = [];
    while (at < bytes.length) found.push(shape());
    return found;
  }

  const typed = (Kind) => (bytes) => new Kind(bytes.buffer, bytes.byteOffset, bytes.length / Kind.BYTES_PER_ELEMENT);
  const READ = {
    lines: lines,
    i2: typed(Int16Array),
    i4: typed(Int32Array),
    f8: typed(Float64Array),
    wkb: shapes
  };

  // The parts by name.
  function read(buffer) {
    const size = new DataView(buffer).getUint32(0, true),
      told = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, size)));
    let at = 4 + size;
    return Object.fromEntries(
      told.map((part) => {
        const bytes = new Uint8Array(buffer, at, part.bytes);
        at += Math.ceil(part.bytes / 8) * 8;
        return [part.name, READ[part.kind](bytes)];
      })
    );
  }

  function unzip(buffer) {
    const stream = new Blob([buffer]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).arrayBuffer();
  }

  // Places as the page has them, in degrees.
  function places(buffer) {
    const found = read(buffer),
      degrees = (whole) => Float64Array.from(whole, (value) => value / 1e6);
    return Object.assign(found, { lon: degrees(found.lon), lat: degrees(found.lat) });
  }

  return { read, places, unzip };
})();
