// One map of more regions than a browser draws as shapes: MapLibre shows tiles that are coloured here (tiles.js).
Explore.tileMap = (function () {
  "use strict";
  const { colour, state } = Explore;
  const painters = [];

  // MapLibre asks for regions://MAP/TURN/z/x/y; another turn, another picture.
  function serve() {
    maplibregl.addProtocol("regions", async (asked) => {
      const [at, , z, x, y] = asked.url.split("//")[1].split("/").map(Number);
      return { data: await painters[at].image(z, x, y) };
    });
  }

  return function (container, bounds, hooks) {
    const base = Explore.mapBase(container, bounds, hooks),
      map = base.library,
      painter = Explore.tiles.painter(),
      at = painters.push(painter) - 1;
    if (!at) serve();
    let ready = false,
      scale = null,
      mask = null,
      marked = [];

    function redraw() {
      if (!scale) return;
      painter.set(scale, mask);
      if (!ready) return;
      const address = ["regions://" + at + "/" + painter.turn() + "/{z}/{x}/{y}"],
        source = map.getSource("tiles");
      map.setPaintProperty("ground", "background-color", colour("ground-map"));
      if (source) {
        source.setTiles(address);
        return;
      }
      map.addSource("tiles", {
        type: "raster",
        tileSize: Explore.tiles.SIDE,
        tiles: address,
        bounds: Explore.places.around(state.content.cities),
        maxzoom: state.content.tiles.most,
        attribution: ""
      });
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
        "marked-halo"
      );
    }

    function under(event, reach) {
      return painter.at(event.lngLat.toArray(), map.getZoom(), reach);
    }

    map.on("load", () => {
      // Rings are for what is too small for its outline to be seen.
      const { most, typical } = state.content.tiles;
      Explore.marks.add(map, 4, typical ? most - Math.log2(typical / 16) : 24);
      ready = true;
      redraw();
      Explore.marks.show(map, marked, true);
      map.once("idle", Explore.drawn);
    });
    if (matchMedia("(hover: hover)").matches) {
      map.on("mousemove", (event) => hooks.hover(under(event, 6), event.originalEvent));
      map.on("mouseout", () => hooks.hover(null));
    }
    map.on("click", (event) => hooks.click(under(event, 8)));

    return Object.assign(base, {
      paint(next, selected) {
        if (next === scale && selected === mask) return;
        scale = next;
        mask = selected;
        redraw();
      },
      fade() {
        if (map.getLayer("tiles")) map.setPaintProperty("tiles", "raster-opacity", Explore.basemap.strength());
      },
      recolour() {
        redraw();
        if (ready) Explore.marks.colour(map);
      },
      mark: Explore.places.outlines((pairs) => {
        marked = pairs;
        if (ready) Explore.marks.show(map, pairs, true);
      })
    });
  };
})();
