// Where the regions lie: shapes that are drawn, their middles, and the view's arithmetic (Web Mercator, 512-pixel tiles).
Explore.places = (function () {
  "use strict";
  const TILE = 512;
  let rowOf = [],
    shapeOf = new Map(),
    asked = [],
    boxes = [],
    boxOf = new Map(),
    lons = [],
    lats = [],
    squares = null;

  function prepare(content) {
    const shapes = content.shapes || [];
    rowOf = content.drawn || shapes.map((_, i) => i);
    shapeOf = new Map(shapes.map((shape, i) => [rowOf[i], shape]));
    boxes = shapes.map((shape) => (urbanln.isArea(shape) ? urbanln.box(shape) : null));
    boxOf = new Map(boxes.map((box, i) => [rowOf[i], box]));
    lons = content.lon;
    lats = content.lat;
  }

  // The bounds of cities.
  function around(cities) {
    return [0, 1, 2, 3].map((i) => Math[i < 2 ? "min" : "max"](...cities.map((city) => city.bounds[i])));
  }

  function features() {
    return {
      type: "FeatureCollection",
      features: rowOf.map((row) => ({ type: "Feature", id: row, properties: {}, geometry: shapeOf.get(row) }))
    };
  }

  // The outline of a region, asked for where the content holds none; the last ones are kept.
  async function outline(row) {
    if (row === null || shapeOf.has(row)) return row === null ? null : shapeOf.get(row);
    if (!Explore.source.shape) return null;
    const found = await Explore.source.shape(row);
    asked.push(row);
    shapeOf.set(row, found);
    if (asked.length > 500) shapeOf.delete(asked.shift());
    return found;
  }

  // Hands over pairs of row and outline of the region chosen and of the one pointed at; the last ones asked for, one
  // question at a time.
  function outlines(show) {
    let wanted = null,
      busy = false;
    async function next() {
      while (wanted) {
        const rows = wanted;
        wanted = null;
        const found = await Promise.all(rows.map((row) => outline(row).catch(() => null)));
        if (!wanted) show(rows.map((row, i) => [row, found[i]]));
      }
      busy = false;
    }
    return (chosen, hovered) => {
      wanted = [chosen, hovered];
      if (!busy) {
        busy = true;
        next();
      }
    };
  }

  const x = (lon) => (lon + 180) / 360;
  const y = (lat) => 0.5 - Math.log(Math.tan(Math.PI / 4 + (lat * Math.PI) / 360)) / (2 * Math.PI);
  const lon = (at) => at * 360 - 180;
  const lat = (at) => (Math.atan(Math.sinh(Math.PI * (1 - 2 * at))) * 180) / Math.PI;

  // Pixels of a place in a view { center: [lon, lat], zoom } of a box; and back.
  function project(view, size, place) {
    const world = TILE * 2 ** view.zoom;
    return [
      (x(place[0]) - x(view.center[0])) * world + size[0] / 2,
      (y(place[1]) - y(view.center[1])) * world + size[1] / 2
    ];
  }

  function unproject(view, size, at) {
    const world = TILE * 2 ** view.zoom;
    return [
      lon(x(view.center[0]) + (at[0] - size[0] / 2) / world),
      lat(y(view.center[1]) + (at[1] - size[1] / 2) / world)
    ];
  }

  // The view that shows bounds [west, south, east, north] in a box of pixels.
  function fit(bounds, size) {
    const [w, s, e, n] = bounds,
      wide = Math.max(x(e) - x(w), 1e-9),
      high = Math.max(y(s) - y(n), 1e-9);
    const pad = urbanln.PADDING,
      room = [Math.max(20, size[0] - pad.left - pad.right), Math.max(20, size[1] - pad.top - pad.bottom)];
    const zoom = Math.min(18, Math.log2(Math.min(room[0] / wide, room[1] / high) / TILE));
    const aside = (pad.right - pad.left) / 2 / (TILE * 2 ** zoom);
    return { center: [lon((x(w) + x(e)) / 2 + aside), lat((y(s) + y(n)) / 2)], zoom: zoom };
  }

  function inside(rings, at) {
    let odd = false;
    rings.forEach((ring) => {
      for (let i = 0, j = ring.length - 1; i < ring.length; j = i++) {
        const a = ring[i],
          b = ring[j];
        if (a[1] > at[1] !== b[1] > at[1] && at[0] < ((b[0] - a[0]) * (at[1] - a[1])) / (b[1] - a[1]) + a[0])
          odd = !odd;
      }
    });
    return odd;
  }

  // The region at a place: the area around it, else the middle nearest to it within a dozen pixels at this zoom.
  function at(place, zoom) {
    for (let i = 0; i < rowOf.length; i++) {
      const box = boxes[i];
      if (!box || place[0] < box[0] || place[0] > box[2] || place[1] < box[1] || place[1] > box[3]) continue;
      const shape = shapeOf.get(rowOf[i]);
      const polygons = shape.type === "Polygon" ? [shape.coordinates] : shape.coordinates;
      if (polygons.some((polygon) => inside(polygon, place))) return rowOf[i];
    }
    let best = null,
      least = ((12 * 360) / (TILE * 2 ** zoom)) ** 2;
    rowOf.forEach((row) => {
      const size = (lons[row] - place[0]) ** 2 + (lats[row] - place[1]) ** 2;
      if (size < least) {
        least = size;
        best = row;
      }
    });
    return best;
  }

  // A region as it can be seen: an area narrower than so many pixels is its middle.
  function seen(row, view, pixels) {
    const box = boxOf.get(row);
    if (!box || ((box[2] - box[0]) / 360) * TILE * 2 ** view.zoom >= pixels) return shapeOf.get(row) || null;
    return { type: "Point", coordinates: [lons[row], lats[row]] };
  }

  // A round length for a scale bar of at most `most` pixels: { text, pixels }.
  function bar(view, most) {
    const metre = (TILE * 2 ** view.zoom) / (40075016.7 * Math.cos((view.center[1] * Math.PI) / 180));
    const power = 10 ** Math.floor(Math.log10(most / metre));
    const length = [5, 2, 1].map((m) => m * power).find((m) => m * metre <= most);
    return { text: length >= 1000 ? length / 1000 + " km" : length + " m", pixels: length * metre };
  }

  return {
    prepare,
    features,
    project,
    unproject,
    fit,
    at,
    bar,
    inside,
    seen,
    rows: () => rowOf,
    shape: (row) => shapeOf.get(row) || null,
    outline,
    outlines,
    around,
    of: (row) => [lons[row], lats[row]],
    // On the square of Web Mercator: a place, and the middles of all regions.
    onWorld: (place) => [x(place[0]), y(place[1])],
    world: () => (squares = squares || [Float64Array.from(lons, x), Float64Array.from(lats, y)])
  };
})();
