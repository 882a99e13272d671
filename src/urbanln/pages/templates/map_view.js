// One map of regions. Pages show regions through this, and know of MapLibre through this alone.
var urbanln = (function () {
  "use strict";
  // Room at the right for the zoom buttons.
  var PADDING = { top: 14, bottom: 14, left: 14, right: 50 };
  var LIGHT = { ground: "#fbfcfd", empty: "#c9ced3", edge: "#ffffff", ring: "#66727e", mark: "#17212b", chosen: "#000000" };
  var DARK = { ground: "#20272e", empty: "#4a555f", edge: "#20272e", ring: "#8d98a3", mark: "#ffffff", chosen: "#ffffff" };
  var MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  var night = window.matchMedia("(prefers-color-scheme: dark)");

  function canDraw() {
    var canvas = document.createElement("canvas");
    return Boolean(canvas.getContext("webgl2") || canvas.getContext("webgl"));
  }

  // The same number format as the rest of the page: three figures (four whole, as years are), a true minus.
  function quantity(value) {
    if (value === null || value === undefined) return "–";
    var size = Math.abs(value), sign = value < 0 ? "−" : "", text;
    if (size >= 999500) {
      var scale = size >= 0.9995e12 ? [1e12, " T"] : size >= 0.9995e9 ? [1e9, " bn"] : [1e6, " M"];
      text = Number((size / scale[0]).toPrecision(3)) + scale[1];
    } else if (size >= 999.5) {
      text = size < 9999.5 ? size.toFixed(0) : Number(size.toPrecision(3)).toLocaleString("en-US");
    } else {
      text = String(Number(size.toPrecision(3)));
    }
    return text === "0" ? text : sign + text;
  }

  // A value of a view as text, with its unit where it is not `bare`.
  function said(view, value, bare) {
    if (value === null || value === undefined) return "–";
    if (view.classes) return view.classes[value].name;
    var text = quantity(value);
    if (view.ramp === "diverging") {
      text = view.log ? (value < 0 ? "−" : "+") + Math.abs(value).toFixed(2).replace(/^0\./, ".") : (value > 0 ? "+" : "") + text;
    }
    return text + (view.unit && !view.log && !bare ? " " + view.unit : "");
  }

  function box(shape) {
    var west = Infinity, south = Infinity, east = -Infinity, north = -Infinity;
    (function walk(part) {
      if (typeof part[0] !== "number") return part.forEach(walk);
      west = Math.min(west, part[0]); east = Math.max(east, part[0]);
      south = Math.min(south, part[1]); north = Math.max(north, part[1]);
    })(shape.coordinates);
    return [west, south, east, north];
  }

  // Regions as all maps of a page share them: shapes, boxes, middles, and which are areas.
  function Regions(shapes) {
    this.shapes = shapes;
    this.boxes = shapes.map(box);
    this.middles = this.boxes.map(function (b) { return [(b[0] + b[2]) / 2, (b[1] + b[3]) / 2]; });
    this.areas = shapes.map(function (shape) { return shape.type !== "Point" && shape.type !== "MultiPoint"; });
  }

  // The zoom from which on areas of this city are wide enough (4 pixels) to be seen; 0 where there are none.
  Regions.prototype.areaZoom = function () {
    var areas = this.areas;
    var widths = this.boxes.map(function (b) { return b[2] - b[0]; }).filter(function (w, i) { return areas[i]; });
    widths.sort(function (a, b) { return a - b; });
    var width = widths[Math.floor(widths.length / 2)];
    return width > 0 ? Math.min(Math.log2(4 * 360 / (512 * width)), 20) : 0;
  };

  // The nearest region from a place: in a direction, within 60° of it, or any where there is none.
  Regions.prototype.nearest = function (from, direction, but) {
    var narrow = Math.cos(from[1] * Math.PI / 180), best = null, least = Infinity;
    this.middles.forEach(function (middle, i) {
      if (i === but) return;
      var x = (middle[0] - from[0]) * narrow, y = middle[1] - from[1], cost = Math.hypot(x, y);
      if (direction) {
        var along = x * direction[0] + y * direction[1], aside = Math.abs(x * direction[1] - y * direction[0]);
        if (along <= 0 || aside > 1.74 * along) return;
        cost = along + 2 * aside;
      }
      if (cost < least) { least = cost; best = i; }
    });
    return best;
  };

  // What is drawn: each region with its value in every view, and whether it is marked there.
  function features(regions, views, marks, dots, small) {
    var drawn = [];
    regions.shapes.forEach(function (shape, i) {
      if (dots && regions.areas[i] && !small) return;
      var values = { index: i };
      views.forEach(function (view, k) {
        if (view.values[i] !== null) values["v" + k] = view.values[i];
        if (marks[k] && marks[k][i]) values["m" + k] = true;
      });
      var at = dots && regions.areas[i] ? { type: "Point", coordinates: regions.middles[i] } : shape;
      drawn.push({ type: "Feature", id: i, geometry: at, properties: values });
    });
    return { type: "FeatureCollection", features: drawn };
  }

  // One map in `element`: `options` are regions, views (one per layer of the page), marks (true for regions with a
  // strong edge, per view, or null), ramps, bounds, label, and what to call: point(index, event), leave(), home().
  function MapView(element, options) {
    var self = this;
    this.options = options;
    this.shown = 0;
    this.chosen = null;
    this.map = new maplibregl.Map({
      container: element, bounds: options.bounds, fitBoundsOptions: { padding: PADDING },
      style: { version: 8, sources: {}, layers: [{ id: "ground", type: "background", paint: {} }] },
      attributionControl: false, renderWorldCopies: false, dragRotate: false, touchPitch: false, keyboard: false,
      pitchWithRotate: false, cooperativeGestures: true, fadeDuration: 0, maxZoom: 20,
      // Printing reads the picture back after it was drawn.
      canvasContextAttributes: { preserveDrawingBuffer: true, antialias: true }
    });
    this.map.touchZoomRotate.disableRotation();
    this.map.addControl(new maplibregl.NavigationControl({ showCompass: false }), "top-right");
    this.popup = new maplibregl.Popup({ closeButton: false, closeOnClick: false, maxWidth: "260px", offset: 10 });
    var canvas = this.map.getCanvas();
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-label", options.label);
    canvas.addEventListener("keydown", function (event) { self.key(event); });
    this.map.on("load", function () { self.dress(); });
    night.addEventListener("change", function () { self.show(self.shown); });
  }

  MapView.prototype.colours = function () { return night.matches ? DARK : LIGHT; };

  MapView.prototype.dress = function () {
    var self = this, map = this.map, regions = this.options.regions;
    // As large as the first view has room for: a share of the distance between neighbours spread evenly.
    var zoom = map.getZoom(), place = map.getContainer();
    var radius = Math.sqrt(place.clientWidth * place.clientHeight / regions.shapes.length) * 0.28;
    radius = Math.min(8, Math.max(2.2, radius));
    // Areas too small for the first view are dots there, where they would vanish.
    var from = regions.areaZoom(), small = from > zoom + 0.5, onlyAreas = regions.areas.every(Boolean);
    var polygons = ["==", ["geometry-type"], "Polygon"], o = this.options;
    map.addSource("regions", { type: "geojson", data: features(regions, o.views, o.marks, false), attribution: "" });
    map.addSource("dots", { type: "geojson", data: features(regions, o.views, o.marks, true, small), attribution: "" });
    map.addLayer({ id: "areas", type: "fill", source: "regions", minzoom: small ? from : 0, filter: polygons,
      paint: { "fill-antialias": false } });
    map.addLayer({ id: "outlines", type: "line", source: "regions", minzoom: small ? from : 0, filter: polygons });
    map.addLayer({ id: "points", type: "circle", source: "dots", maxzoom: small && onlyAreas ? from : 24,
      paint: { "circle-radius": ["interpolate", ["linear"], ["zoom"], zoom, radius, zoom + 5, 3 * radius] } });
    this.thin = radius > 3 ? 0.5 : 0;
    ["areas", "points"].forEach(function (id) {
      ["mousemove", "click"].forEach(function (kind) {
        map.on(kind, id, function (event) {
          map.getCanvas().style.cursor = "pointer";
          var index = event.features[0].properties.index;
          o.point(index);
          self.popup.setLngLat(event.lngLat).setText(o.describe(index, "\n")).addTo(map);
        });
      });
      map.on("mouseleave", id, function () { map.getCanvas().style.cursor = ""; self.popup.remove(); o.leave(); });
    });
    this.ready = true;
    this.show(this.shown);
    this.choose(this.chosen);
  };

  MapView.prototype.fill = function (k) {
    var view = this.options.views[k], value = ["get", "v" + k], paint;
    if (view.classes) {
      paint = ["match", value];
      view.classes.forEach(function (one, i) { paint.push(i, one.colour); });
      paint.push(this.colours().empty);
      if (!view.classes.length) paint = this.colours().empty;
    } else {
      var ramp = this.options.ramps[view.ramp];
      paint = ["interpolate", ["linear"], value];
      view.stops.forEach(function (stop, i) { paint.push(stop, ramp[i]); });
    }
    return ["case", ["has", "v" + k], paint, this.colours().empty];
  };

  // Show view k. What has no value is drawn first, so that it covers nothing that has one.
  MapView.prototype.show = function (k) {
    this.shown = k;
    this.popup.remove();
    if (!this.ready) return;
    var map = this.map, colours = this.colours(), fill = this.fill(k), order = ["case", ["has", "v" + k], 1, 0];
    var on = ["boolean", ["feature-state", "chosen"], false], marked = ["has", "m" + k];
    function edge(usual, dark) { return ["case", on, dark[0], marked, dark[1], usual]; }
    map.setPaintProperty("ground", "background-color", colours.ground);
    map.setPaintProperty("areas", "fill-color", fill);
    map.setLayoutProperty("areas", "fill-sort-key", order);
    map.setPaintProperty("outlines", "line-color", edge(colours.edge, [colours.chosen, colours.mark]));
    map.setPaintProperty("outlines", "line-width", edge(0.4, [2.5, 1.6]));
    map.setPaintProperty("points", "circle-color", fill);
    map.setLayoutProperty("points", "circle-sort-key", order);
    map.setPaintProperty("points", "circle-stroke-color", edge(colours.ring, [colours.chosen, colours.mark]));
    map.setPaintProperty("points", "circle-stroke-width", edge(this.thin, [2.5, 1.6]));
  };

  // Draw one region out, or none.
  MapView.prototype.choose = function (index) {
    var map = this.map, before = this.chosen;
    this.chosen = index;
    if (!this.ready) return;
    ["regions", "dots"].forEach(function (source) {
      if (before !== null) map.setFeatureState({ source: source, id: before }, { chosen: false });
      if (index !== null) map.setFeatureState({ source: source, id: index }, { chosen: true });
    });
  };

  // Arrow keys go to the next region in their direction, from the middle of the map where none is chosen.
  MapView.prototype.key = function (event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    var map = this.map, regions = this.options.regions, to = MOVES[event.key], o = this.options;
    if (to) {
      var from = this.chosen, middle = map.getCenter();
      var next = from === null ? regions.nearest([middle.lng, middle.lat]) : regions.nearest(regions.middles[from], to, from);
      this.popup.remove();
      if (next !== null) {
        o.point(next);
        if (!map.getBounds().contains(regions.middles[next])) map.panTo(regions.middles[next]);
      }
    } else if (event.key === "+" || event.key === "=") {
      map.zoomIn();
    } else if (event.key === "-") {
      map.zoomOut();
    } else if (event.key === "Home") {
      o.home();
    } else if (event.key === "Escape") {
      this.popup.remove();
      o.leave();
    } else {
      return;
    }
    event.preventDefault();
  };

  MapView.prototype.fit = function (bounds) {
    this.map.fitBounds(bounds, { padding: PADDING, animate: false });
  };

  return { MapView: MapView, Regions: Regions, canDraw: canDraw, quantity: quantity, said: said };
})();
