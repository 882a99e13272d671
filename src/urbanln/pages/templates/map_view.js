// One map of regions. Pages show regions through this, and know of MapLibre through this alone.
(function () {
  "use strict";
  var LIGHT = { ground: "#fbfcfd", empty: "#c9ced3", edge: "#ffffff", ring: "#66727e", mark: "#17212b", chosen: "#000000" };
  var DARK = { ground: "#20272e", empty: "#4a555f", edge: "#20272e", ring: "#8d98a3", mark: "#ffffff", chosen: "#ffffff" };
  var MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  var night = window.matchMedia("(prefers-color-scheme: dark)"), paper = false;

  // A value of a view as text, with its unit where it is not `bare`.
  function said(view, value, bare) {
    if (value === null || value === undefined) return "–";
    if (view.classes) return view.classes[value].name;
    var text = view.ramp === "diverging" ? urbanln.difference(value, view.log) : urbanln.told(value, view.kind);
    return text + (view.unit && !view.log && !bare ? " " + view.unit : "");
  }

  // Regions as all maps of a page share them: shapes and middles.
  function Regions(shapes) {
    this.shapes = shapes;
    this.middles = shapes.map(urbanln.box).map(function (b) { return [(b[0] + b[2]) / 2, (b[1] + b[3]) / 2]; });
  }

  // What is drawn: each region with its value in every view, and whether it is marked there.
  function features(regions, views, marks) {
    var drawn = regions.shapes.map(function (shape, i) {
      var values = { index: i };
      views.forEach(function (view, k) {
        if (view.values[i] !== null) values["v" + k] = view.values[i];
        if (marks[k] && marks[k][i]) values["m" + k] = true;
      });
      return { type: "Feature", id: i, geometry: shape, properties: values };
    });
    return { type: "FeatureCollection", features: drawn };
  }

  // One map in `element`: `options` are regions, views (one per layer of the page), marks (true for regions with a
  // strong edge, per view, or null), bounds, label, and what to call: point(index, event), leave(), home().
  function MapView(element, options) {
    var self = this;
    this.options = options;
    this.shown = 0;
    this.chosen = null;
    this.map = urbanln.create(element, options.bounds, this.colours().ground, { cooperativeGestures: true });
    this.map.addControl(new maplibregl.NavigationControl({ showCompass: false }), "top-right");
    this.popup = new maplibregl.Popup({ closeButton: false, closeOnClick: false, maxWidth: "260px", offset: 10 });
    var canvas = this.map.getCanvas();
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-label", options.label);
    canvas.addEventListener("keydown", function (event) { self.key(event); });
    this.map.on("load", function () { self.dress(); });
    night.addEventListener("change", function () { self.show(self.shown); });
    // Paper is light, and is printed before a frame is drawn.
    ["beforeprint", "afterprint"].forEach(function (kind) {
      window.addEventListener(kind, function () {
        paper = kind === "beforeprint";
        self.show(self.shown);
        if (self.ready) self.map.redraw();
      });
    });
  }

  MapView.prototype.colours = function () { return night.matches && !paper ? DARK : LIGHT; };

  MapView.prototype.dress = function () {
    var self = this, map = this.map, o = this.options;
    var radius = urbanln.addRegions(map, features(o.regions, o.views, o.marks)).radius;
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
      var ramp = urbanln.RAMPS[view.ramp];
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
      var from = this.chosen, middle = map.getCenter(), of = function (i) { return regions.middles[i]; };
      var next = from === null ? urbanln.nearest(regions.middles.length, of, [middle.lng, middle.lat]) : urbanln.nearest(regions.middles.length, of, of(from), to, from);
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
    this.map.fitBounds(bounds, { padding: urbanln.PADDING, animate: false });
  };

  urbanln.MapView = MapView;
  urbanln.Regions = Regions;
  urbanln.said = said;
})();
