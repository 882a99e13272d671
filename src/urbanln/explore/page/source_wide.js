// Answers of an export of very many regions (wide.py): what is small stands in data.js, as in any export; of the rest the
// page asks for what it shows: values/*.bin (numbers by column), places.bin, texts.bin, vectors.bin (packed.py),
// shapes.bin and regions.bin (blocks of JSON), tiles.pmtiles.
Explore.wide = (function () {
  "use strict";
  const { all, stored, tile, trouble } = Explore.parts;
  const BLOCK = 64,
    ALIKE = 6;
  const small = Explore.exported,
    data = () => window.URBANLN_DATA;
  let vectors = null,
    near = false;

  function content() {
    if (location.protocol !== "file:") return small.content();
    return Promise.reject(
      trouble(
        "A page of more than 20,000 regions does not open from disk.",
        "Run `python -m http.server` in its folder and open http://localhost:8000, or put the folder on a static host."
      )
    );
  }

  const one = (file, row) => stored(file, row, data().content.n, BLOCK);

  // Directions of all regions, once something is to be compared.
  function compare() {
    const { width, step } = data().vectors;
    vectors =
      vectors ||
      all("vectors.bin").then((buffer) => {
        Explore.likeness.hold(Object.assign(Explore.packed.read(buffer), { width: width, step: step }));
        near = true;
      });
    vectors.catch(() => {
      vectors = null;
    });
    return vectors;
  }

  async function similar(rows, far, k) {
    if (data().vectors) await compare();
    return small.similar(rows, far, k);
  }

  function column(key) {
    const file = data().columns[key];
    if (file) return all(file).then((buffer) => new Float32Array(buffer));
    const found = near && Explore.likeness.column(key);
    return found ? Promise.resolve(found) : small.column(key);
  }

  // Neighbours in looks are told once the directions are there: they are not fetched for one list.
  async function region(row) {
    const told = await one("regions.bin", row);
    return {
      ...told,
      get alike() {
        return near ? Explore.likeness.alike(row, ALIKE) : [];
      }
    };
  }

  // Where no region lies no tile is stored.
  async function pixels(z, x, y) {
    return (await tile("tiles.pmtiles", z, x, y)) || null;
  }

  return {
    ...small,
    content: content,
    places: () => (location.protocol === "file:" ? {} : all("places.bin").then(Explore.packed.places)),
    texts: () => all("texts.bin").then(Explore.packed.unzip).then(Explore.packed.read),
    tile: pixels,
    shape: (row) => one("shapes.bin", row),
    column: column,
    region: region,
    similar: similar,
    exact: (key) =>
      data().exact[key] ? all(data().exact[key]).then((buffer) => new Float64Array(buffer)) : Promise.resolve(null)
  };
})();
