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

  // Shapes are asked for one by one only where the content holds not all.
  const shapes = new Map();

  function shape(row) {
    if (!shapes.has(row))
      shapes.set(
        row,
        ask("api/shape?row=" + row)
          .then((answer) => answer.json())
          .then((answer) => answer.shape)
      );
    return shapes.get(row);
  }

  return {
    at: (lon, lat, reach) =>
      ask("api/at?lon=" + lon + "&lat=" + lat + "&reach=" + reach)
        .then((answer) => answer.json())
        .then((answer) => answer.row),
    shape: shape,
    selected: (rows) => post("api/selected", { rows: rows }).then((answer) => answer.json()),
    // MapLibre fills in {z}, {x} and {y}, and needs the whole address.
    tiles: (key, stops, colours, selected) =>
      new URL("tile/", location.href.split("#")[0]).href +
      "{z}/{x}/{y}?key=" +
      encodeURIComponent(key) +
      "&stops=" +
      stops.join(",") +
      "&colours=" +
      colours.join(",") +
      (selected ? "&selected=" + selected : ""),
    content: () => ask("api/content").then((answer) => answer.json()),
    column: (key) =>
      ask("api/column?key=" + encodeURIComponent(key))
        .then((answer) => answer.arrayBuffer())
        .then((bytes) => new Float32Array(bytes)),
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
