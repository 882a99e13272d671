// One map drawn by MapLibre. Classes and selection are feature states, so that another column moves no shape again.
Explore.glMap = function (container, bounds, hooks) {
  "use strict";
  const places = Explore.places,
    colour = Explore.colour;
  const base = Explore.mapBase(container, bounds, hooks),
    { library: map, size, view } = base;
  let drawn = null,
    scale = null,
    mask = null,
    chosen = null,
    hovered = null;

  function marked() {
    if (drawn)
      Explore.marks.show(
        map,
        [chosen, hovered].map((row) => [row, row === null ? null : places.shape(row)]),
        drawn.sources.includes("dots")
      );
  }

  function colours() {
    const empty = colour("empty"),
      names = scale ? scale.colours : [];
    const k = ["number", ["feature-state", "k"], -1],
      faint = ["boolean", ["feature-state", "f"], false];
    const fill = names.length ? ["match", k].concat(...names.map((name, i) => [i, name]), empty) : empty;
    map.setPaintProperty("ground", "background-color", colour("ground-map"));
    map.setPaintProperty("areas", "fill-color", fill);
    const solid = Explore.basemap.strength();
    map.setPaintProperty("areas", "fill-opacity", ["case", faint, 0.18 * solid, solid]);
    map.setPaintProperty("outlines", "line-color", colour("ground-map"));
    map.setPaintProperty("outlines", "line-opacity", solid);
    map.setPaintProperty("outlines", "line-width", ["interpolate", ["linear"], ["zoom"], 9, 0.15, 14, 0.7]);
    // Below: everything; above: what has a value and is selected, so that nothing faint or empty covers it.
    const stroke = drawn.radius > 3 ? 0.5 : 0;
    ["points-under", "points"].forEach((id) => {
      map.setPaintProperty(id, "circle-color", fill);
      map.setPaintProperty(id, "circle-stroke-width", stroke);
      map.setPaintProperty(id, "circle-stroke-color", colour("edge"));
    });
    const above = ["case", ["any", ["<", k, 0], faint], 0, solid],
      under = ["case", ["all", [">=", k, 0], ["!", faint]], solid < 1 ? 0 : 1, faint, 0.18 * solid, solid];
    [
      ["points", above],
      ["points-under", under]
    ].forEach(([id, opacity]) => {
      map.setPaintProperty(id, "circle-opacity", opacity);
      map.setPaintProperty(id, "circle-stroke-opacity", opacity);
    });
    Explore.marks.colour(map);
  }

  function states() {
    drawn.sources.forEach((source) => {
      places.rows().forEach((row) => {
        const state = { k: scale ? scale.classes[row] : -1, f: Boolean(mask && !mask[row]) };
        map.setFeatureState({ source: source, id: row }, state);
      });
    });
  }

  map.on("load", () => {
    drawn = urbanln.addRegions(map, places.features());
    const above = map.getLayer("points"),
      radius = map.getPaintProperty("points", "circle-radius");
    map.addLayer(
      {
        id: "points-under",
        type: "circle",
        source: "dots",
        maxzoom: above.maxzoom,
        paint: { "circle-radius": radius }
      },
      "points"
    );
    Explore.marks.add(map, drawn.radius, above.maxzoom);
    colours();
    states();
    marked();
  });

  // Until MapLibre has cut the shapes into tiles, which takes a second for 10,000, a plain drawing stands in its place.
  const early = Explore.el("canvas", { class: "early", "aria-hidden": "true" });
  container.append(early);
  map.once("idle", () => early.remove());
  map.on("movestart", (event) => {
    if (event.originalEvent) early.remove(); // by hand; a map that is fitted anew is drawn anew
  });
  map.on("move", () => {
    if (scale) drawSoon();
  });
  // A map of streets may come late, or never.
  map.on("render", () => {
    if (early.isConnected && drawn && drawn.sources.every((source) => map.isSourceLoaded(source))) early.remove();
  });

  // The page is laid out, fitted and coloured in one go: one drawing for all of it, before the next frame.
  let due = false;
  function drawSoon() {
    if (due || !early.isConnected) return;
    due = true;
    requestAnimationFrame(() => {
      due = false;
      if (early.isConnected) drawEarly();
    });
  }

  function drawEarly() {
    const box = size(),
      sharp = devicePixelRatio || 1;
    early.width = box[0] * sharp;
    early.height = box[1] * sharp;
    const pen = early.getContext("2d");
    pen.scale(sharp, sharp);
    Explore.stillMap.draw(pen, view(), box, scale, mask, null, null);
    Explore.drawn();
  }

  function under(event) {
    if (early.isConnected) return places.at(event.lngLat.toArray(), map.getZoom());
    const found = map.queryRenderedFeatures(event.point, { layers: ["areas", "points-under"] });
    return found.length ? found[0].id : null;
  }

  if (matchMedia("(hover: hover)").matches) {
    map.on("mousemove", (event) => {
      hooks.hover(under(event), event.originalEvent);
    });
    map.on("mouseout", () => hooks.hover(null));
  }
  map.on("click", (event) => {
    hooks.click(under(event));
  });

  return Object.assign(base, {
    paint(next, selected) {
      const same = next === scale && selected === mask;
      scale = next;
      mask = selected;
      if (drawn && !same) {
        colours();
        states();
      }
      drawSoon();
    },
    recolour() {
      if (drawn) colours();
    },
    mark(row, over) {
      chosen = row;
      hovered = over;
      marked();
    }
  });
};
