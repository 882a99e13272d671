// The outlines of the region chosen and of the one pointed at, above everything else on a MapLibre map.
Explore.marks = (function () {
  "use strict";

  // `before` names no layer: marks come last. `radius` is that of rings around dots, `until` the zoom they end at.
  function add(map, radius, until) {
    const strong = ["==", ["get", "strong"], 1],
      lines = ["!=", ["geometry-type"], "Point"];
    map.addSource("marked", { type: "geojson", data: { type: "FeatureCollection", features: [] }, attribution: "" });
    map.addLayer({
      id: "marked-halo",
      type: "line",
      source: "marked",
      filter: lines,
      paint: { "line-width": ["case", strong, 6, 3.5] }
    });
    map.addLayer({
      id: "marked-line",
      type: "line",
      source: "marked",
      filter: lines,
      paint: { "line-width": ["case", strong, 2.8, 1.6] }
    });
    map.addLayer({
      id: "marked-ring",
      type: "circle",
      source: "marked",
      filter: ["==", ["geometry-type"], "Point"],
      maxzoom: until,
      paint: {
        "circle-opacity": 0,
        "circle-radius": ["+", radius + 2, ["case", strong, 2, 0]],
        "circle-stroke-width": ["case", strong, 3, 1.6]
      }
    });
    colour(map);
  }

  function colour(map) {
    map.setPaintProperty("marked-halo", "line-color", Explore.colour("ground"));
    map.setPaintProperty("marked-line", "line-color", Explore.colour("ink"));
    map.setPaintProperty("marked-ring", "circle-stroke-color", Explore.colour("ink"));
  }

  // Pairs of row and shape: first of the region chosen, then of the one pointed at; rings where regions may be dots.
  function show(map, pairs, rings) {
    const features = [];
    pairs.forEach(([row, shape], i) => {
      if (row === null || !shape) return;
      const one = (geometry) =>
        features.push({ type: "Feature", properties: { strong: i ? 0 : 1 }, geometry: geometry });
      one(shape);
      if (rings && shape.type !== "Point") one({ type: "Point", coordinates: Explore.places.of(row) });
    });
    map.getSource("marked").setData({ type: "FeatureCollection", features: features });
  }

  return { add, colour, show };
})();
