// Answers of an export: everything stands in data.js as window.URBANLN_DATA =
//   { content,                        as api/content
//     columns: { key: base64 },       float32, n values each, those of the queries among them
//     regions: [ … ] or { row: … },   as api/region; by row
//     similar: { k, rows, scores },   base64 of int32 and float32, n × k, most alike first (row −1: none)
//     texts: { query: … },            as api/text
//     evidence: { "row key": … } }    as api/evidence
// Files that the page makes itself (GeoJSON, CSV) are made here. Pictures lie in the folder pictures/.
Explore.exported = (function () {
  "use strict";

  function missing(what, remedy) {
    return Promise.reject(Object.assign(new Error(what + " is not in this export."), { remedy: remedy }));
  }

  const served = "Run `urbanln explore` to have it.";
  const data = () => window.URBANLN_DATA;

  function similar(rows, far, k) {
    const all = data().similar;
    if (!all || rows.length !== 1) return missing("What is like several regions", served);
    const width = all.k,
      at = rows[0] * width;
    const found = new Int32Array(Explore.floats(all.rows).buffer).subarray(at, at + width);
    const scores = Explore.floats(all.scores).subarray(at, at + width);
    const places = Explore.places,
      near = (row) => far > 0 && Explore.distance(places.of(row), places.of(rows[0])) < far;
    const kept = Array.from(found, (row, i) => [row, scores[i]])
      .filter(([row]) => row >= 0 && !near(row))
      .slice(0, k);
    return Promise.resolve({
      rows: kept.map((pair) => pair[0]),
      scores: kept.map((pair) => pair[1]),
      exact: true,
      left_out: found.filter((row) => row >= 0 && near(row)).length,
      prepared: width
    });
  }

  function cell(value) {
    const text = value === null || value === undefined || Number.isNaN(value) ? "" : String(value);
    // A formula in a spreadsheet begins with one of these; numbers may.
    const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? "'" + text : text;
    return /[",\n\r]/.test(safe) ? '"' + safe.replace(/"/g, '""') + '"' : safe;
  }

  async function take(rows, format, keys) {
    const content = data().content,
      columns = await Promise.all(keys.map((key) => Explore.exported.column(key)));
    const values = (row) =>
      columns.map((column) => (Number.isNaN(column[row]) ? null : Number(column[row].toPrecision(7))));
    if (format === "csv") {
      const lines = rows.map((row) => [content.ids[row]].concat(values(row)).map(cell).join(","));
      return new Blob([[["region_id"].concat(keys).map(cell).join(",")].concat(lines).join("\r\n") + "\r\n"], {
        type: "text/csv"
      });
    }
    const features = rows.map((row) => {
      const properties = { region_id: content.ids[row] };
      values(row).forEach((value, i) => {
        properties[keys[i]] = value;
      });
      return { type: "Feature", id: content.ids[row], properties: properties, geometry: Explore.places.shape(row) };
    });
    return new Blob([JSON.stringify({ type: "FeatureCollection", features: features })], {
      type: "application/geo+json"
    });
  }

  return {
    content: () => Promise.resolve(data().content),
    column: (key) =>
      data().columns[key] ? Promise.resolve(Explore.floats(data().columns[key])) : missing("The column " + key, served),
    region: (row) => (data().regions[row] ? Promise.resolve(data().regions[row]) : missing("This region", served)),
    picture: (id) => "pictures/" + encodeURIComponent(id) + ".jpg",
    similar: similar,
    upload: () => missing("Search by a picture", served),
    text: (text) =>
      data().texts && data().texts[text]
        ? Promise.resolve(data().texts[text])
        : missing("That query", "Pick one of the prepared queries, or run `urbanln explore`."),
    evidence: (row, key) =>
      (data().evidence || {})[row + " " + key]
        ? Promise.resolve(data().evidence[row + " " + key])
        : missing("This evidence", served),
    take: take
  };
})();
