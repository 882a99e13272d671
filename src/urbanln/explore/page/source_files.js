// Answers of an export: everything stands in data.js as window.URBANLN_DATA =
//   { content,                        as api/content
//     columns: { key: base64 },       float32, n values each, those of the queries among them
//     regions: [ … ],                 as api/region, by row; without `alike`, which the page finds
//     vectors: { width, step, bound,  directions of regions, see likeness.js; null without
//       rows, steps, metres },        base64 of int32 (m), int16 (m × width), float64 (n × 2)
//     texts: { query: … },            as api/text
//     evidence: { "row key": … },     as api/evidence
//     explained: { key: { what: [row, …] } },  whose evidence that is
//     exact: { key: base64 },         float64, where float32 holds not all digits
//     crs,                            as GeoParquet names it
//     wide }                          whether the large parts lie in files of their own, see source_wide.js
// Files to take away are made in take_files.js. Pictures lie in the folder pictures/.
Explore.exported = (function () {
  "use strict";

  function missing(what, remedy) {
    return Promise.reject(Object.assign(new Error(what + " is not in this export."), { remedy: remedy }));
  }

  const ALIKE = 6;
  const served = "Run `urbanln explore` to have it.";
  const data = () => window.URBANLN_DATA;

  function similar(rows, far, k) {
    const found = data().vectors && rows.length ? Explore.likeness.similar(rows, far, k) : null;
    return found ? Promise.resolve(found) : missing("A vector of these regions", "Choose another region.");
  }

  function column(key) {
    const made = data().columns[key]
      ? Explore.floats(data().columns[key])
      : data().vectors && Explore.likeness.column(key);
    return made ? Promise.resolve(made) : missing("The column " + key, served);
  }

  // Everything about a region stands there but its neighbours in looks, which are looked for when they are shown.
  function region(row) {
    const told = data().regions[row];
    if (!told) return missing("This region", served);
    return Promise.resolve({
      ...told,
      get alike() {
        return data().vectors ? Explore.likeness.alike(row, ALIKE) : [];
      }
    });
  }

  // Why, where it was prepared; else of which regions it was: [what they are, rows].
  function evidence(row, key) {
    const found = data().evidence[row + " " + key],
      whose = Object.entries(data().explained[key] || {}).filter(([, rows]) => rows.length);
    if (!found && !whose.length) return missing("This evidence", served);
    return Promise.resolve(found || { note: "This export explains other regions, but not this one.", whose: whose });
  }

  // Tiles of the map of streets stand in basemap.js: each once, those of shapes compressed.
  async function basemap(z, x, y) {
    const all = window.URBANLN_BASEMAP,
      at = all && all.at[z + "/" + x + "/" + y];
    if (at === undefined) return null;
    const bytes = Explore.bytes(all.tiles[at]);
    if (data().content.basemap.kind === "raster") return bytes.buffer;
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
  }

  return {
    basemap: basemap,
    content: () => Promise.resolve(data().content),
    places: () => Promise.resolve({}), // they stand in the content
    column: column,
    region: region,
    picture: (id) => "pictures/" + encodeURIComponent(id) + ".jpg",
    similar: similar,
    upload: () => missing("Search by a picture", served),
    text: (text) =>
      data().texts && data().texts[text]
        ? Promise.resolve(data().texts[text])
        : missing("That query", "Pick one of the prepared queries, or run `urbanln explore`."),
    evidence: evidence,
    exact: (key) =>
      Promise.resolve(data().exact[key] ? new Float64Array(Explore.bytes(data().exact[key]).buffer) : null),
    explains: (key) => key in data().explained,
    take: Explore.taken.take
  };
})();
