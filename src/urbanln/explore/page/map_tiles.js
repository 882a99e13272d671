// One map of more regions than a browser draws: MapLibre shows tiles that the server colours; what lies where is asked.
Explore.tileMap = function (container, bounds, hooks) {
  "use strict";
  const { places, colour, state } = Explore;
  const base = Explore.mapBase(container, bounds, hooks),
    map = base.library;
  const reach = (pixels) => pixels / (512 * 2 ** map.getZoom());
  let ready = false,
    scale = null,
    mask = null,
    held = "",
    turn = 0,
    chosen = null,
    hovered = null,
    pointer = null,
    asking = false;

  // Scores of the regions found are known to the page alone: dots above tiles without colours.
  function ownScores() {
    return scale && scale.column.group === "found" && !scale.column.key.startsWith("q:");
  }

  function address() {
    const empty = colour("empty"),
      own = ownScores();
    const stops = own ? [] : scale.ends ? scale.ends.slice(1, -1) : scale.names.slice(1).map((_, i) => i + 0.5);
    const colours = own ? [empty, empty] : scale.colours.concat(empty);
    return Explore.source.tiles(
      own ? state.content.columns[0].key : scale.column.key,
      stops,
      colours.map((one) => one.slice(1)),
      held
    );
  }

  function found() {
    const features = [];
    if (ownScores())
      scale.classes.forEach((c, row) => {
        if (c >= 0)
          features.push({
            type: "Feature",
            properties: { colour: scale.colours[c], order: c },
            geometry: { type: "Point", coordinates: places.of(row) }
          });
      });
    map.getSource("found").setData({ type: "FeatureCollection", features: features });
  }

  function redraw() {
    if (!ready || !scale) return;
    const source = map.getSource("tiles");
    if (source) source.setTiles([address()]);
    else {
      map.addSource("tiles", { type: "raster", tileSize: 512, tiles: [address()], maxzoom: 22, attribution: "" });
      map.addLayer(
        {
          id: "tiles",
          type: "raster",
          source: "tiles",
          paint: {
            "raster-fade-duration": 0,
            "raster-resampling": "nearest",
            "raster-opacity": Explore.basemap.strength()
          }
        },
        "found"
      );
    }
    map.setPaintProperty("ground", "background-color", colour("ground-map"));
    found();
  }

  // The server is told which regions are selected; while a slider moves, the last place alone.
  function select() {
    const mine = ++turn;
    setTimeout(
      () => {
        if (mine !== turn) return;
        if (!mask || !Explore.selection.count()) {
          held = "";
          redraw();
          return;
        }
        Explore.attempt(() =>
          Explore.source.selected(Explore.selection.rows()).then((answer) => {
            if (mine === turn) {
              held = answer.key;
              redraw();
            }
          })
        );
      },
      mask ? 120 : 0
    );
  }

  async function marked() {
    const rows = [chosen, hovered],
      shapes = await Promise.all(
        rows.map((row) => (row === null ? null : Explore.source.shape(row).catch(() => null)))
      );
    if (ready && rows[0] === chosen && rows[1] === hovered)
      Explore.marks.show(
        map,
        rows.map((row, i) => [row, shapes[i]]),
        true
      );
  }

  // One question at a time: what lies under the pointer now.
  function follow() {
    if (asking || !pointer) return;
    const [place, event] = pointer;
    pointer = null;
    asking = true;
    at(place, 6)
      .then(
        (row) => hooks.hover(row, event),
        () => {}
      )
      .then(() => {
        asking = false;
        follow();
      });
  }

  function at(place, pixels) {
    return Explore.source.at(place[0], place[1], reach(pixels));
  }

  map.on("load", () => {
    map.addSource("found", { type: "geojson", data: { type: "FeatureCollection", features: [] }, attribution: "" });
    map.addLayer({
      id: "found",
      type: "circle",
      source: "found",
      layout: { "circle-sort-key": ["get", "order"] },
      paint: {
        "circle-color": ["get", "colour"],
        "circle-radius": 5,
        "circle-stroke-width": 1,
        "circle-stroke-color": colour("edge")
      }
    });
    Explore.marks.add(map, 4, 15);
    ready = true;
    redraw();
    marked();
  });
  if (matchMedia("(hover: hover)").matches) {
    map.on("mousemove", (event) => {
      pointer = [event.lngLat.toArray(), event.originalEvent];
      follow();
    });
    map.on("mouseout", () => {
      pointer = null;
      hooks.hover(null);
    });
  }
  map.on("click", (event) => Explore.attempt(() => at(event.lngLat.toArray(), 8).then(hooks.click)));

  return Object.assign(base, {
    paint(next, selected) {
      const other = selected !== mask,
        same = next === scale;
      scale = next;
      mask = selected;
      if (!same) redraw();
      if (other) select();
    },
    fade() {
      if (map.getLayer("tiles")) map.setPaintProperty("tiles", "raster-opacity", Explore.basemap.strength());
    },
    recolour() {
      if (ready) {
        redraw();
        Explore.marks.colour(map);
      }
    },
    mark(row, over) {
      chosen = row;
      hovered = over;
      marked();
    }
  });
};
