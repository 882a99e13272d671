// Answers of the server the page came from, by addresses relative to it.
Explore.served = (function () {
  "use strict";
  const regions = new Map();

  async function ask(address, options) {
    let answer;
    try {
      answer = await fetch(address, options);
    } catch (error) {
      throw Object.assign(new Error("The server does not answer."), {
        remedy: "Start `urbanln explore` again and load the page anew."
      });
    }
    if (answer.ok) return answer;
    const said = await answer.json().catch(() => ({}));
    throw Object.assign(new Error(said.error || "The server refused (" + answer.status + ")."), {
      remedy: said.remedy
    });
  }

  function post(address, value) {
    return ask(address, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(value)
    });
  }

  // Regions asked for once are kept: lists show their pictures again and again.
  function region(row) {
    if (!regions.has(row)) {
      const asked = ask("api/region?row=" + row).then((answer) => answer.json());
      asked.catch(() => regions.delete(row));
      regions.set(row, asked);
    }
    return regions.get(row);
  }

  const bytes = (address) => ask(address).then((answer) => answer.arrayBuffer());

  return {
    content: () => ask("api/content").then((answer) => answer.json()),
    places: () => bytes("api/places").then(Explore.packed.places),
    // Only where the content holds more regions than it has shapes, ids and names at once.
    texts: () => bytes("api/texts").then(Explore.packed.unzip).then(Explore.packed.read),
    tile: (z, x, y) => bytes("tile/" + z + "/" + x + "/" + y),
    shape: (row) =>
      ask("api/shape?row=" + row)
        .then((answer) => answer.json())
        .then((answer) => answer.shape),
    column: (key) => bytes("api/column?key=" + encodeURIComponent(key)).then((found) => new Float32Array(found)),
    basemap: (z, x, y) =>
      ask("basemap/" + z + "/" + x + "/" + y).then((answer) => (answer.status === 204 ? null : answer.arrayBuffer())),
    region: region,
    picture: (id, size) => "picture?id=" + encodeURIComponent(id) + "&size=" + size,
    similar: (rows, far, k) => post("api/similar", { rows: rows, far_km: far, k: k }).then((answer) => answer.json()),
    upload: (file) =>
      ask("api/upload", { method: "POST", headers: { "Content-Type": "application/octet-stream" }, body: file }).then(
        (answer) => answer.json()
      ),
    text: (text) => post("api/text", { text: text }).then((answer) => answer.json()),
    explains: () => true,
    evidence: (row, key) => post("api/evidence", { row: row, key: key }).then((answer) => answer.json()),
    take: (rows, format, columns) =>
      post("api/take", { rows: rows, format: format, columns: columns }).then((answer) => answer.blob())
  };
})();
