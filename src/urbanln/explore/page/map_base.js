// What both maps of MapLibre are: made, moved, told about; what they draw is their own (map_gl.js, map_tiles.js).
Explore.mapBase = function (container, bounds, hooks) {
  "use strict";
  const places = Explore.places;
  // Lines and dots have soft edges by themselves; pictures are saved by drawing anew.
  const map = urbanln.create(container, bounds, Explore.colour("ground-map"), {
    canvasContextAttributes: { antialias: false, preserveDrawingBuffer: false }
  });
  const size = () => [container.clientWidth, container.clientHeight];
  const view = () => ({ center: map.getCenter().toArray(), zoom: map.getZoom() });
  map.on("load", () => Explore.basemap.add(map));
  map.on("move", (event) => hooks.move(Boolean(event.originalEvent)));
  // What WebGL has shown is gone from its canvas: a copy is printed.
  const printed = Explore.el("canvas", { class: "printed", "aria-hidden": "true" });
  window.addEventListener("beforeprint", () => {
    map.redraw();
    const shown = map.getCanvas();
    Object.assign(printed, { width: shown.width, height: shown.height });
    printed.getContext("2d").drawImage(shown, 0, 0);
    container.append(printed);
  });
  window.addEventListener("afterprint", () => printed.remove());
  map.on("resize", () => hooks.resize());

  return {
    view: view,
    size: size,
    focusable: map.getCanvas(),
    library: map,
    jump(to) {
      map.jumpTo(to);
    },
    fit(box) {
      map.jumpTo(places.fit(box, size()));
    },
    zoomBy(step) {
      map.zoomTo(map.getZoom() + step, { duration: 200 });
    },
    // The picture when all of it is there, streets and tiles included.
    snapshot: () =>
      new Promise((done) => {
        map.once("idle", () => createImageBitmap(map.getCanvas()).then(done));
        map.triggerRepaint();
      }),
    project: (place) => places.project(view(), size(), place),
    resize() {
      map.resize();
    }
  };
};
