// What is taken away from an export is made in the page: GeoJSON, CSV, GeoParquet, with the columns, names and values of
// the server's files (taken.py).
Explore.taken = (function () {
  "use strict";

  // The shortest number that is this one in 32 bits: 0.1 and not 0.10000000149.
  function shortest(value) {
    for (let figures = 6; figures < 9; figures++) {
      const short = Number(value.toPrecision(figures));
      if (Math.fround(short) === value) return short;
    }
    return Number(value.toPrecision(9));
  }

  // The id, the middle, then what is asked for, as { name, type, values } by row; classes by name, null without a value.
  async function table(rows, keys) {
    await Explore.named();
    const content = Explore.state.content;
    const plain = (name, type, from) => ({ name: name, type: type, values: rows.map((row) => from[row]) });
    const made = keys.map(async (key) => {
      const all = await Explore.source.exact(key);
      if (all) {
        return { name: key, type: "DOUBLE", values: rows.map((row) => (Number.isNaN(all[row]) ? null : all[row])) };
      }
      const names = Explore.columns.entry(key).classes || [],
        found = await Explore.source.column(key);
      const told = (value) => (Number.isNaN(value) ? null : names.length ? names[value] : value);
      return { name: key, type: names.length ? "STRING" : "FLOAT", values: rows.map((row) => told(found[row])) };
    });
    return [
      plain("region_id", "STRING", content.ids),
      plain("lon", "DOUBLE", content.lon),
      plain("lat", "DOUBLE", content.lat)
    ].concat(await Promise.all(made));
  }

  function told(column, i) {
    const value = column.values[i];
    return column.type === "FLOAT" && value !== null ? shortest(value) : value;
  }

  // No formula for a spreadsheet; ids of digits stay what they are.
  function cell(value) {
    const text = value === null ? "" : String(value);
    const formula = typeof value === "string" && /^[=+\-@\t\r]/.test(text) && !/^[+-]?\d+(\.\d+)?$/.test(text);
    const safe = formula ? "'" + text : text;
    return /[",\n\r]/.test(safe) ? '"' + safe.replace(/"/g, '""') + '"' : safe;
  }

  function csv(columns, shapes) {
    const lines = shapes.map((_, i) => columns.map((column) => told(column, i)));
    return [columns.map((column) => column.name), ...lines].map((line) => line.map(cell).join(",") + "\r\n");
  }

  function geojson(columns, shapes) {
    const features = shapes.map((shape, i) => ({
      type: "Feature",
      properties: Object.fromEntries(columns.map((column) => [column.name, told(column, i)])),
      geometry: shape
    }));
    return [JSON.stringify({ type: "FeatureCollection", features: features })];
  }

  function around(shapes) {
    const box = [Infinity, Infinity, -Infinity, -Infinity];
    const reach = (at) => {
      if (typeof at[0] !== "number") {
        at.forEach(reach);
        return;
      }
      [0, 1].forEach((axis) => {
        box[axis] = Math.min(box[axis], at[axis]);
        box[axis + 2] = Math.max(box[axis + 2], at[axis]);
      });
    };
    shapes.forEach((shape) => reach(shape.coordinates));
    return box;
  }

  // GeoParquet 1.1: shapes as WKB, and what they are in the file's notes.
  function parquet(columns, shapes) {
    const known = shapes.filter(Boolean),
      written = { encoding: "WKB", crs: window.URBANLN_DATA.crs };
    written.geometry_types = Array.from(new Set(known.map((shape) => shape.type))).sort();
    if (known.length) written.bbox = around(known);
    const geo = {
      version: "1.1.0",
      primary_column: "geometry",
      columns: { geometry: written },
      creator: { library: document.querySelector("meta[name=generator]").content }
    };
    const wkb = (shape) => (shape ? hyparquetWriter.geojsonToWkb(shape) : null);
    return [
      hyparquetWriter.parquetWriteBuffer({
        columnData: columns
          .map((column) => ({ name: column.name, type: column.type, data: column.values }))
          .concat({ name: "geometry", type: "BYTE_ARRAY", data: shapes.map(wkb) }),
        kvMetadata: [{ key: "geo", value: JSON.stringify(geo) }],
        createdBy: geo.creator.library
      })
    ];
  }

  const FORMS = {
    geojson: [geojson, "application/geo+json"],
    csv: [csv, "text/csv"],
    parquet: [parquet, "application/vnd.apache.parquet"]
  };

  async function take(rows, format, keys) {
    const [make, type] = FORMS[format];
    const shapes = [];
    // One after the other: of very many regions they come in parts of files.
    for (const row of rows) shapes.push(Explore.places.shape(row) || (await Explore.places.outline(row)));
    return new Blob(make(await table(rows, keys), shapes), { type: type });
  }

  return { take };
})();
