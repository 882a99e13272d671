// How a map of streets is drawn below the regions: quiet, without words; layers as Protomaps and OpenMapTiles call them.
Explore.basemapStyle = (function () {
  "use strict";
  // A road's, park's or border's kind, under the name that either gives it.
  const KIND = ["to-string", ["coalesce", ["get", "kind"], ["get", "class"], ["get", "pmap:kind"], ""]];
  const GREEN = [
    "park",
    "forest",
    "wood",
    "grass",
    "grassland",
    "meadow",
    "nature_reserve",
    "national_park",
    "protected_area",
    "cemetery",
    "golf_course",
    "garden",
    "recreation_ground",
    "village_green",
    "scrub",
    "wetland",
    "farmland",
    "orchard",
    "vineyard",
    "allotments",
    "pitch",
    "playground",
    "zoo"
  ];
  const MAJOR = ["highway", "major_road", "motorway", "trunk", "primary"],
    MIDDLE = ["medium_road", "secondary", "tertiary"],
    RAIL = ["rail", "transit"],
    SMALL = ["path", "track", "ferry", "pier", "other"];
  const DETAIL = ["to-string", ["coalesce", ["get", "kind_detail"], ["get", "pmap:kind_detail"], ""]];
  const is = (kinds) => ["in", KIND, ["literal", kinds]];
  // Protomaps calls trunk roads and tertiary ones major alike, and tells them apart in the detail.
  const lesser = ["in", DETAIL, ["literal", MIDDLE]];
  const wide = (...stops) => ["interpolate", ["exponential", 1.5], ["zoom"], ...stops];
  const polygons = ["==", ["geometry-type"], "Polygon"],
    lines = ["==", ["geometry-type"], "LineString"];

  const area = (colour, filter, more) => Object.assign({ type: "fill", colour: colour, filter: filter }, more);
  const line = (colour, width, filter, more) =>
    Object.assign({ type: "line", colour: colour, width: width, filter: filter }, more);

  const green = [area("street-green", ["all", polygons, is(GREEN)])];
  const water = [area("street-water", polygons), line("street-water", wide(9, 0.5, 16, 5), lines)];
  const roads = [
    line("street-road", wide(14, 0.4, 18, 4), ["all", lines, is(SMALL)], { minzoom: 14, dash: [2, 2] }),
    line("street-road", wide(12, 0.3, 18, 9), ["all", lines, ["!", is([...MAJOR, ...MIDDLE, ...RAIL, ...SMALL])]], {
      minzoom: 12
    }),
    line("street-rail", wide(11, 0.5, 18, 3), ["all", lines, is(RAIL)], { minzoom: 11, dash: [3, 2] }),
    line("street-road", wide(9, 0.4, 18, 13), ["all", lines, ["any", is(MIDDLE), ["all", is(MAJOR), lesser]]]),
    line("street-major", wide(6, 0.4, 18, 18), ["all", lines, is(MAJOR), ["!", lesser]])
  ];
  const borders = [line("street-rail", wide(4, 0.5, 12, 1.4), lines, { dash: [4, 2] })];
  const buildings = [area("street-house", polygons, { minzoom: 14 })];
  const LAYERS = {
    earth: [area("street-land", polygons)],
    landcover: green,
    landuse: green,
    park: green,
    water: water,
    waterway: water,
    buildings: buildings,
    building: buildings,
    roads: roads,
    transportation: roads,
    boundaries: borders,
    boundary: borders
  };

  // Layers of MapLibre over a source, the lowest first; each with the colour of the style sheet that it has.
  function layers(source, known) {
    const found = [];
    Object.keys(LAYERS)
      .filter((name) => known.includes(name))
      .forEach((name) =>
        LAYERS[name].forEach((one, i) => {
          const paint = one.type === "line" ? { "line-width": one.width } : { "fill-antialias": false };
          if (one.dash) paint["line-dasharray"] = one.dash;
          found.push({
            colour: one.colour,
            property: one.type + "-color",
            layer: {
              id: "base-" + name + "-" + i,
              type: one.type,
              source: source,
              "source-layer": name,
              minzoom: one.minzoom || 0,
              filter: one.filter,
              layout: one.type === "line" && !one.dash ? { "line-cap": "round", "line-join": "round" } : {},
              paint: paint
            }
          });
        })
      );
    return found;
  }

  return { layers };
})();
