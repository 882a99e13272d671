(function () {
  "use strict";
  var PANELS = ["truth", "prediction", "error"];
  // Room at the right for the zoom buttons.
  var PADDING = { top: 14, bottom: 14, left: 14, right: 50 };
  var EMPTY = "#c9ced3";
  var data = JSON.parse(document.getElementById("map-data").textContent);
  var tool = document.getElementById("map-tool");
  var chooser = document.getElementById("map-indicator");
  var placer = document.getElementById("map-place");
  var readout = document.getElementById("map-readout");
  var maps = [];
  var popups = [];
  var hovered = null;
  var moving = false;
  var touched = false;

  function fail() {
    tool.hidden = true;
    document.getElementById("map-still").hidden = false;
    document.getElementById("map-failed").hidden = false;
  }

  function hasWebGL() {
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

  function difference(value, log) {
    if (value === null || value === undefined) return "–";
    if (!log) return (value > 0 ? "+" : "") + quantity(value);
    var text = Math.abs(value).toFixed(2).replace(/^0\./, ".");
    return (value < 0 ? "−" : "+") + text;
  }

  function features() {
    return {
      type: "FeatureCollection",
      features: data.shapes.map(function (shape, index) {
        var values = { index: index };
        data.layers.forEach(function (layer, k) {
          PANELS.forEach(function (panel) {
            if (layer[panel][index] !== null) values[panel + k] = layer[panel][index];
          });
          if (layer.outside && layer.outside[index]) values["outside" + k] = true;
        });
        return { type: "Feature", id: index, geometry: shape, properties: values };
      })
    };
  }

  function outline(shape) {
    var ring = shape.type === "Polygon" ? shape.coordinates[0] : shape.type === "MultiPolygon" ? shape.coordinates[0][0] : [];
    var x = ring.map(function (p) { return p[0]; }), y = ring.map(function (p) { return p[1]; });
    return ring.length ? [Math.min.apply(null, x), Math.min.apply(null, y), Math.max.apply(null, x), Math.max.apply(null, y)] : null;
  }

  // The zoom from which on areas of this city are wide enough (4 pixels) to be seen; 0 where there are none.
  function areaZoom() {
    var widths = data.shapes.map(outline).filter(Boolean).map(function (b) { return b[2] - b[0]; });
    widths.sort(function (a, b) { return a - b; });
    var width = widths[Math.floor(widths.length / 2)];
    return width > 0 ? Math.min(Math.log2(4 * 360 / (512 * width)), 20) : 0;
  }

  // What is drawn as dots: points, and areas too small for the first view, which would vanish there.
  function dots(all, small) {
    var drawn = all.features.map(function (feature) {
      var box = outline(feature.geometry);
      if (!box) return feature;
      return small && { type: "Feature", id: feature.id, properties: feature.properties,
        geometry: { type: "Point", coordinates: [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2] } };
    });
    return { type: "FeatureCollection", features: drawn.filter(Boolean) };
  }

  function scale(panel, layer) {
    var error = panel === "error";
    return { stops: error ? layer.error_stops : layer.stops, colours: error ? data.diverging : data.viridis,
      labels: error ? layer.error_labels : layer.labels };
  }

  function paint(panel, k) {
    var s = scale(panel, data.layers[k]), key = panel + k;
    var ramp = ["interpolate", ["linear"], ["get", key]];
    s.stops.forEach(function (stop, i) { ramp.push(stop, s.colours[i]); });
    return ["case", ["has", key], ramp, EMPTY];
  }

  // What has no value is drawn first, so that it covers nothing that has one.
  function order(panel, k) {
    return ["case", ["has", panel + k], 1, 0];
  }

  // On the map of errors a dark edge marks a truth outside its interval.
  function edge(panel, k, usual, marked) {
    return panel === "error" ? ["case", ["has", "outside" + k], marked, usual] : usual;
  }

  function edges(map, panel, k) {
    var on = ["boolean", ["feature-state", "hover"], false], thin = map.thin;
    map.setPaintProperty("outlines", "line-color", ["case", on, "#000000", edge(panel, k, "#ffffff", "#17212b")]);
    map.setPaintProperty("outlines", "line-width", ["case", on, 2.5, edge(panel, k, 0.4, 1.6)]);
    map.setPaintProperty("points", "circle-stroke-color", ["case", on, "#000000", edge(panel, k, "#66727e", "#17212b")]);
    map.setPaintProperty("points", "circle-stroke-width", ["case", on, 2.5, edge(panel, k, thin, 1.6)]);
  }

  function legend(panel, k) {
    var layer = data.layers[k], s = scale(panel, layer);
    var box = document.getElementById("map-" + panel + "-legend");
    box.textContent = "";
    var bar = document.createElement("div");
    bar.className = "bar";
    bar.style.background = "linear-gradient(to right, " + s.colours.join(", ") + ")";
    var labels = document.createElement("div");
    labels.className = "labels";
    s.labels.forEach(function (label) {
      var span = document.createElement("span");
      span.textContent = label;
      labels.appendChild(span);
    });
    box.append(bar, labels);
    var unit = panel !== "error" ? layer.unit : layer.log ? "in log units" : layer.unit;
    document.getElementById("map-" + panel + "-unit").textContent = unit;
  }

  function describe(index, separator) {
    var layer = data.layers[chooser.value], unit = layer.unit ? " " + layer.unit : "";
    var error = layer.error[index];
    var lines = ["Region " + data.ids[index],
      "truth " + quantity(layer.truth[index]) + unit,
      "prediction " + quantity(layer.prediction[index]) + unit,
      "error " + difference(error, layer.log) + (layer.log || error === null ? "" : unit)];
    if (layer.low && layer.low[index] !== null) {
      lines.push("interval " + quantity(layer.low[index]) + " to " + quantity(layer.high[index]) + unit);
      if (layer.outside[index] !== null) lines.push("truth " + (layer.outside[index] ? "outside it" : "inside it"));
    }
    return lines.join(separator);
  }

  function hover(index) {
    if (index === hovered) return;
    maps.forEach(function (map) {
      ["regions", "dots"].forEach(function (source) {
        if (!map.getSource(source)) return;
        if (hovered !== null) map.setFeatureState({ source: source, id: hovered }, { hover: false });
        if (index !== null) map.setFeatureState({ source: source, id: index }, { hover: true });
      });
    });
    hovered = index;
    readout.textContent = index === null ? "Point at a region." : describe(index, " · ");
  }

  function dress(map, panel) {
    var k = Number(chooser.value);
    // As large as the first view has room for: a share of the distance between neighbours spread evenly.
    var zoom = map.getZoom(), box = map.getContainer();
    var radius = Math.sqrt(box.clientWidth * box.clientHeight / data.shapes.length) * 0.28;
    radius = Math.min(8, Math.max(2.2, radius));
    var all = features(), from = areaZoom(), small = from > zoom + 0.5, fromZoom = small ? from : 0;
    map.addSource("regions", { type: "geojson", data: all, attribution: "" });
    map.addSource("dots", { type: "geojson", data: dots(all, small), attribution: "" });
    map.addLayer({ id: "areas", type: "fill", source: "regions", minzoom: fromZoom, filter: ["==", ["geometry-type"], "Polygon"],
      layout: { "fill-sort-key": order(panel, k) },
      paint: { "fill-color": paint(panel, k), "fill-antialias": false } });
    map.addLayer({ id: "outlines", type: "line", source: "regions", minzoom: fromZoom, filter: ["==", ["geometry-type"], "Polygon"],
      paint: {} });
    var until = small && data.shapes.every(outline) ? from : 24;
    map.addLayer({ id: "points", type: "circle", source: "dots", maxzoom: until,
      layout: { "circle-sort-key": order(panel, k) },
      paint: { "circle-color": paint(panel, k),
        "circle-radius": ["interpolate", ["linear"], ["zoom"], zoom, radius, zoom + 5, 3 * radius] } });
    map.thin = radius > 3 ? 0.5 : 0;
    edges(map, panel, k);
    var popup = new maplibregl.Popup({ closeButton: false, closeOnClick: false, maxWidth: "260px", offset: 10 });
    popups.push(popup);
    function show(event) {
      var index = event.features[0].properties.index;
      map.getCanvas().style.cursor = "pointer";
      hover(index);
      popup.setLngLat(event.lngLat).setText(describe(index, "\n")).addTo(map);
    }
    ["areas", "points"].forEach(function (id) {
      map.on("mousemove", id, show);
      map.on("click", id, show);
      map.on("mouseleave", id, function () { map.getCanvas().style.cursor = ""; popup.remove(); hover(null); });
    });
  }

  function follow(leader) {
    leader.on("movestart", function (event) { if (event.originalEvent) touched = true; });
    leader.on("move", function () {
      if (moving) return;
      moving = true;
      maps.forEach(function (map) {
        if (map !== leader) map.jumpTo({ center: leader.getCenter(), zoom: leader.getZoom() });
      });
      moving = false;
    });
  }

  // Of the city chosen: browsers keep the choice when a page is loaded again.
  function bounds() {
    return data.places[placer ? placer.value : 0].bounds;
  }

  function fit() {
    touched = false;
    maps[0].fitBounds(bounds(), { padding: PADDING, animate: false });
  }

  function errorNote() {
    document.getElementById("map-error-note").textContent = data.layers[chooser.value].log
      ? "Error is ln(1 + prediction) − ln(1 + truth): red too high, blue too low; +.69 is about double, −.69 about half."
      : "Error is prediction − truth: red too high, blue too low.";
    document.getElementById("map-interval-note").textContent = data.layers[chooser.value].outside
      ? "A dark edge on the map of errors: the truth lies outside the region’s interval." : "";
  }

  function choose() {
    var k = Number(chooser.value);
    PANELS.forEach(function (panel, i) {
      legend(panel, k);
      if (!maps[i].getLayer("areas")) return;
      maps[i].setPaintProperty("areas", "fill-color", paint(panel, k));
      maps[i].setPaintProperty("points", "circle-color", paint(panel, k));
      maps[i].setLayoutProperty("areas", "fill-sort-key", order(panel, k));
      maps[i].setLayoutProperty("points", "circle-sort-key", order(panel, k));
      edges(maps[i], panel, k);
    });
    popups.forEach(function (popup) { popup.remove(); });
    errorNote();
    if (hovered !== null) readout.textContent = describe(hovered, " · ");
  }

  function start() {
    if (!hasWebGL()) return fail();
    tool.hidden = false;
    document.getElementById("map-still").hidden = true;
    maps = PANELS.map(function (panel) {
      return new maplibregl.Map({
        container: "map-" + panel, bounds: bounds(), fitBoundsOptions: { padding: PADDING },
        style: { version: 8, sources: {}, layers: [
          { id: "ground", type: "background", paint: { "background-color": "#fbfcfd" } }] },
        attributionControl: false, renderWorldCopies: false, dragRotate: false, touchPitch: false,
        pitchWithRotate: false, cooperativeGestures: true, fadeDuration: 0, maxZoom: 20,
        // Printing reads the picture back after it was drawn.
        canvasContextAttributes: { preserveDrawingBuffer: true, antialias: true }
      });
    });
    maps.forEach(function (map, i) {
      map.touchZoomRotate.disableRotation();
      map.keyboard.disableRotation();
      map.addControl(new maplibregl.NavigationControl({ showCompass: false }), "top-right");
      map.on("load", function () { dress(map, PANELS[i]); });
      follow(map);
    });
    chooser.addEventListener("change", choose);
    if (placer) placer.addEventListener("change", fit);
    document.getElementById("map-reset").addEventListener("click", fit);
    maps[0].on("resize", function () { if (!touched) fit(); });
    choose();
  }

  try { start(); } catch (error) { fail(); }
})();
