// What the report's maps and the explorer's have in common: colours, numbers, dots for small areas, layers.
var urbanln = (function () {
  "use strict";
  // As pages/maps.py, which draws still pictures: viridis, blue–white–red for differences, colours of classes.
  const VIRIDIS = ["#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725"];
  const DIVERGING = ["#2166ac", "#4393c3", "#92c5de", "#d1e5f0", "#f7f7f7", "#fddbc7", "#f4a582", "#d6604d", "#b2182b"];
  const CLASSES = ["#0072b2", "#009e73", "#56b4e9", "#f0e442", "#e69f00", "#8a8a8a", "#d55e00", "#cc79a7"];
  // Room at the right for the zoom buttons.
  const PADDING = { top: 14, bottom: 14, left: 14, right: 50 };

  function canDraw() {
    const canvas = document.createElement("canvas");
    return Boolean(canvas.getContext("webgl2") || canvas.getContext("webgl"));
  }

  // The same number format as the rest of the page: three figures (four whole, as years are), a true minus.
  function quantity(value) {
    if (value === null || value === undefined || Number.isNaN(value)) return "–";
    const size = Math.abs(value), sign = value < 0 ? "−" : "";
    let text;
    if (size >= 999500) {
      const scale = size >= 0.9995e12 ? [1e12, " T"] : size >= 0.9995e9 ? [1e9, " bn"] : [1e6, " M"];
      text = Number((size / scale[0]).toPrecision(3)) + scale[1];
    } else if (size >= 999.5) {
      text = size < 9999.5 ? size.toFixed(0) : Number(size.toPrecision(3)).toLocaleString("en-US");
    } else {
      text = String(Number(size.toPrecision(3)));
    }
    return text === "0" ? text : sign + text;
  }

  // A value of a label as pages/text.py writes it: whole ones, of kind id, year or count, as they are.
  function told(value, kind) {
    const known = typeof value === "number" && Math.abs(value) < 2 ** 53;
    if (!known || !["id", "year", "count"].includes(kind)) return quantity(value);
    if (kind === "count" && (!Number.isInteger(value) || Math.abs(value) < 10000)) return quantity(value);
    const size = Math.abs(Math.round(value));
    return (value < 0 ? "−" : "") + (kind === "count" ? size.toLocaleString("en-US") : String(size));
  }

  function difference(value, log) {
    if (value === null || value === undefined || Number.isNaN(value)) return "–";
    if (!log) return (value > 0 ? "+" : "") + quantity(value);
    const text = Math.abs(value).toFixed(2).replace(/^0\./, ".");
    return (value < 0 ? "−" : "+") + text;
  }

  // West, south, east, north of a shape.
  function box(shape) {
    let west = Infinity, south = Infinity, east = -Infinity, north = -Infinity;
    (function walk(part) {
      if (typeof part[0] !== "number") return part.forEach(walk);
      west = Math.min(west, part[0]); east = Math.max(east, part[0]);
      south = Math.min(south, part[1]); north = Math.max(north, part[1]);
    })(shape.coordinates);
    return [west, south, east, north];
  }

  function isArea(shape) {
    return shape.type !== "Point" && shape.type !== "MultiPoint";
  }

  // The nearest of `count` middles, given by number, from a place: in a direction, within 60° of it, or any.
  function nearest(count, of, from, direction, but) {
    const narrow = Math.cos(from[1] * Math.PI / 180);
    let best = null, least = Infinity;
    for (let i = 0; i < count; i++) {
      if (i === but) continue;
      const middle = of(i), x = (middle[0] - from[0]) * narrow, y = middle[1] - from[1];
      let cost = Math.hypot(x, y);
      if (direction) {
        const along = x * direction[0] + y * direction[1], aside = Math.abs(x * direction[1] - y * direction[0]);
        if (along <= 0 || aside > 1.74 * along) continue;
        cost = along + 2 * aside;
      }
      if (cost < least) { least = cost; best = i; }
    }
    return best;
  }

  // The zoom from which on most areas are wide enough (4 pixels) to be seen; 0 where there are none.
  function areaZoom(boxes) {
    const widths = boxes.map(function (b) { return b[2] - b[0]; }).sort(function (a, b) { return a - b; });
    const width = widths[Math.floor(widths.length / 2)];
    return width > 0 ? Math.min(Math.log2(4 * 360 / (512 * width)), 20) : 0;
  }

  // What is drawn as dots: points, and areas too small for the first view, which would vanish there.
  function dots(all, boxes, small) {
    const drawn = all.features.map(function (feature, i) {
      if (!isArea(feature.geometry)) return feature;
      const b = boxes[i], middle = { type: "Point", coordinates: [(b[0] + b[2]) / 2, (b[1] + b[3]) / 2] };
      return small && { type: "Feature", id: feature.id, properties: feature.properties, geometry: middle };
    });
    return { type: "FeatureCollection", features: drawn.filter(Boolean) };
  }

  // As large as a view has room for: a share of the distance between neighbours spread evenly.
  function dotRadius(width, height, count) {
    return Math.min(8, Math.max(2.2, Math.sqrt(width * height / count) * 0.28));
  }

  function create(container, bounds, ground, more) {
    const map = new maplibregl.Map(Object.assign({
      container: container, bounds: bounds, fitBoundsOptions: { padding: PADDING },
      // Without transitions, which would still show the old colours on paper.
      style: { version: 8, transition: { duration: 0, delay: 0 }, sources: {}, layers: [{ id: "ground", type: "background", paint: { "background-color": ground } }] },
      attributionControl: false, renderWorldCopies: false, dragRotate: false, touchPitch: false,
      pitchWithRotate: false, keyboard: false, fadeDuration: 0, maxZoom: 20,
      // Printing reads the picture back after it was drawn.
      canvasContextAttributes: { preserveDrawingBuffer: true, antialias: true }
    }, more));
    map.touchZoomRotate.disableRotation();
    return map;
  }

  // Sources and layers of the regions, still without colours: "areas" and "outlines" of polygons, "points".
  // Gives the dots' radius in this view and the sources that anything is drawn from.
  function addRegions(map, all) {
    const boxes = all.features.map(function (feature) { return box(feature.geometry); });
    const areas = all.features.map(function (feature) { return isArea(feature.geometry); }), onlyAreas = areas.every(Boolean);
    const zoom = map.getZoom(), place = map.getContainer(), polygons = ["==", ["geometry-type"], "Polygon"];
    const radius = dotRadius(place.clientWidth, place.clientHeight, all.features.length);
    const from = areaZoom(boxes.filter(function (b, i) { return areas[i]; })), small = from > zoom + 0.5, fromZoom = small ? from : 0;
    const until = small && onlyAreas ? from : 24;
    map.addSource("regions", { type: "geojson", data: all, attribution: "" });
    map.addSource("dots", { type: "geojson", data: dots(all, boxes, small), attribution: "" });
    map.addLayer({ id: "areas", type: "fill", source: "regions", minzoom: fromZoom, filter: polygons,
      paint: { "fill-antialias": false } });
    map.addLayer({ id: "outlines", type: "line", source: "regions", minzoom: fromZoom, filter: polygons, paint: {} });
    map.addLayer({ id: "points", type: "circle", source: "dots", maxzoom: until,
      paint: { "circle-radius": ["interpolate", ["linear"], ["zoom"], zoom, radius, zoom + 5, 3 * radius] } });
    const sources = [];
    if (areas.some(Boolean)) sources.push("regions");
    if (small || !onlyAreas) sources.push("dots");
    return { radius: radius, sources: sources };
  }

  return { RAMPS: { viridis: VIRIDIS, diverging: DIVERGING }, CLASSES: CLASSES, GREY: CLASSES[5], PADDING: PADDING, canDraw: canDraw,
    quantity: quantity, told: told, difference: difference, box: box, isArea: isArea, nearest: nearest, dotRadius: dotRadius,
    create: create, addRegions: addRegions };
})();
