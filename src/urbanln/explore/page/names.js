// Names on the maps: of regions where their shapes have room for them, of a map of streets' places; few, none over another.
Explore.names = (function () {
  "use strict";
  const { state, places } = Explore;
  const FONT = "system-ui, sans-serif",
    HEIGHT = 15,
    MOST = 40,
    LONGEST = 40,
    POINTS = 60, // named dots in view: of more, no few say anything
    BELOW = 16; // pixels from a dot to its name
  // The most important first; countries and their parts are larger than any map of a city.
  const ORDER = ["city", "town", "borough", "suburb", "village", "quarter", "macrohood", "neighbourhood", "hamlet"];
  const pen = document.createElement("canvas").getContext("2d");
  const widths = new Map();

  function width(text, strong) {
    const key = strong + text;
    if (!widths.has(key)) {
      if (widths.size > 5000) widths.clear();
      pen.font = (strong ? "600 " : "") + "12px " + FONT;
      widths.set(key, pen.measureText(text).width);
    }
    return widths.get(key);
  }

  const cut = (text) => (text.length > LONGEST ? text.slice(0, LONGEST - 1) + "…" : text);

  const any = () => Boolean(state.content.named.length || Explore.basemap.layer());

  function rank(told) {
    const kinds = [told.kind_detail, told["pmap:kind_detail"], told.place, told.class, told.kind, told["pmap:kind"]];
    const at = Math.max(...kinds.map((kind) => ORDER.indexOf(kind)));
    return at < 0 ? null : at * 100 - (told.population_rank || told["pmap:population_rank"] || 0) + (told.rank || 0);
  }

  // Places of the tiles that a map of MapLibre holds.
  function found(map) {
    const layer = Explore.basemap.layer();
    if (!layer || !map.getSource("base")) return [];
    const language = navigator.language.split("-")[0],
      once = new Map();
    map.querySourceFeatures("base", { sourceLayer: layer }).forEach((one) => {
      const told = one.properties,
        name = told["name:" + language] || told["name_" + language] || told.name,
        order = rank(told);
      if (!name || order === null || one.geometry.type !== "Point") return;
      const place = one.geometry.coordinates,
        key = name + place.map((v) => v.toFixed(2));
      if (!once.has(key)) once.set(key, { name: cut(String(name)), place: place, order: order });
    });
    return Array.from(once.values()).sort((a, b) => a.order - b.order);
  }

  // Which names stand where in a view: [text, x, y, strong].
  function choose(view, size, of) {
    const [wide, high] = size,
      world = (512 * 2 ** view.zoom) / 360,
      most = Math.max(8, Math.min(MOST, Math.floor((wide * high) / 16000)));
    const taken = [
        [wide - 54, 0, wide, 230],
        [0, high - 34, 140, high],
        [0, 0, 160, 44]
      ],
      placed = [];
    const [west, north] = places.unproject(view, size, [0, 0]),
      [east, south] = places.unproject(view, size, size);
    const inside = ([lon, lat]) => lon > west && lon < east && lat > south && lat < north;

    function put(name, place, strong, room, below) {
      if (placed.length >= most || placed.some((one) => one[0] === name)) return;
      const w = width(name, strong);
      if (w > room) return;
      const [x, at] = places.project(view, size, place),
        y = at + (below || 0),
        box = [x - w / 2 - 3, y - HEIGHT / 2, x + w / 2 + 3, y + HEIGHT / 2];
      if (box[0] < 0 || box[1] < 0 || box[2] > wide || box[3] > high) return;
      if (taken.some((one) => box[0] < one[2] && box[2] > one[0] && box[1] < one[3] && box[3] > one[1])) return;
      taken.push(box);
      placed.push([name, x, y, strong]);
    }

    const near = state.content.named.filter(([, lon, lat]) => inside([lon, lat])),
      dots = near.filter((one) => !one[4]);
    near.forEach(([name, lon, lat, wide, size]) => {
      if (size) put(name, [lon, lat], false, wide * world * 1.1);
    });
    if (dots.length <= POINTS) dots.forEach(([name, lon, lat]) => put(name, [lon, lat], false, Infinity, BELOW));
    (of || []).forEach((one) => {
      if (inside(one.place)) put(one.name, one.place, one.order < 100, Infinity);
    });
    return placed;
  }

  function draw(pen, view, size, of) {
    if (!Explore.basemap.names()) return;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.lineJoin = "round";
    pen.lineWidth = 3.5;
    pen.strokeStyle = Explore.colour("ground");
    pen.fillStyle = Explore.colour("ink");
    choose(view, size, of).forEach(([text, x, y, strong]) => {
      pen.font = (strong ? "600 " : "") + "12px " + FONT;
      pen.strokeText(text, x, y);
      pen.fillText(text, x, y);
    });
    pen.textAlign = "left";
    pen.textBaseline = "alphabetic";
  }

  // A sheet over a pane's map, drawn again as the map moves; for eyes alone, since lists and tips have the names too.
  function add(pane, box) {
    if (!any()) return;
    const sheet = Explore.el("canvas", { class: "names", "aria-hidden": "true" });
    box.append(sheet);
    let due = false;
    pane.found = [];
    pane.drawNames = () => {
      if (due) return;
      due = true;
      requestAnimationFrame(() => {
        due = false;
        const size = pane.map.size(),
          sharp = devicePixelRatio || 1;
        sheet.width = size[0] * sharp;
        sheet.height = size[1] * sharp;
        const pen = sheet.getContext("2d");
        pen.scale(sharp, sharp);
        draw(pen, pane.map.view(), size, pane.found);
      });
    };
    const map = pane.map.library;
    if (map && Explore.basemap.layer())
      map.on("idle", () => {
        pane.found = Explore.basemap.shown() ? found(map) : [];
        pane.drawNames();
      });
    Explore.on("ground", pane.drawNames);
    Explore.dark.addEventListener("change", pane.drawNames);
    pane.drawNames();
  }

  return { any, add, draw, choose };
})();
