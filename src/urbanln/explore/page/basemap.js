// A map of streets below the regions, where the reader's files or the named host have one: shown, faded, named, printed.
Explore.basemap = (function () {
  "use strict";
  const { state, el, button } = Explore;
  const panes = [];
  const set = { on: true, strength: 0.65, names: true };
  let told = null,
    still = false,
    silent = false;

  const has = () => Boolean(told) && !still;
  const shown = () => has() && set.on;
  // How much of a region's colour covers what lies below.
  const strength = () => (shown() ? set.strength : 1);

  function start(withoutGL) {
    told = state.content.basemap || null;
    still = withoutGL;
    if (told && still) document.getElementById("no-webgl").append(" The map of streets is left out.");
    if (!has() || told.tiles) return;
    // Tiles of a file come through the source, so that served and exported pages do the same.
    maplibregl.addProtocol("urbanln", async (asked) => {
      const [z, x, y] = asked.url.split("/").slice(-3).map(Number);
      const data = await Explore.source.basemap(z, x, y);
      const nothing = () => (told.kind === "raster" ? createImageBitmap(new ImageData(1, 1)) : new ArrayBuffer(0));
      return { data: data || (await nothing()) };
    });
  }

  // Called as a map of MapLibre stands, before anything else is drawn on it.
  function add(map) {
    if (!has()) return;
    const source = {
      type: told.kind,
      tiles: [told.tiles || "urbanln://basemap/{z}/{x}/{y}"],
      minzoom: told.minzoom,
      maxzoom: told.maxzoom,
      bounds: told.bounds
    };
    if (told.kind === "raster") source.tileSize = told.side;
    map.addSource("base", source);
    const raster = { id: "base-raster", type: "raster", source: "base", paint: { "raster-fade-duration": 0 } };
    const layers = told.kind === "raster" ? [{ layer: raster }] : Explore.basemapStyle.layers("base", told.layers);
    layers.forEach((one) => map.addLayer(one.layer));
    const dress = () => {
      layers.forEach(({ layer, property, colour }) => {
        map.setLayoutProperty(layer.id, "visibility", set.on ? "visible" : "none");
        if (property) map.setPaintProperty(layer.id, property, Explore.colour(colour));
      });
      if (told.kind === "raster")
        map.setPaintProperty(raster.id, "raster-brightness-max", Explore.dark.matches ? 0.6 : 1);
    };
    dress();
    Explore.on("ground", dress);
    Explore.dark.addEventListener("change", dress);
    map.on("error", (event) => {
      if (event.sourceId !== "base") console.error(event.error);
      else if (!silent) {
        silent = true;
        credit();
      }
    });
  }

  function credit() {
    panes.forEach((pane) => {
      pane.credit.hidden = !shown();
      const trouble = silent ? (told.host || "The file") + " does not give every part of the map of streets. " : "";
      pane.credit.textContent = shown() ? trouble + told.credit : "";
      pane.credit.hidden = !pane.credit.textContent;
    });
  }

  function change(what) {
    Object.assign(set, what);
    panes.forEach((pane) => {
      pane.node.style.setProperty("--solid", strength());
      (pane.map.fade || pane.map.recolour)();
      pane.switches.forEach((tell) => tell());
    });
    credit();
    Explore.emit("ground");
  }

  function check(text, key) {
    const box = el("input", { type: "checkbox", onchange: () => change({ [key]: box.checked }) });
    return { node: el("label", { class: "check" }, [box, text]), tell: () => (box.checked = set[key]) };
  }

  function slider() {
    const range = el("input", {
      type: "range",
      min: 10,
      max: 100,
      step: 5,
      "aria-label": "Strength of the regions' colours",
      oninput: () => change({ strength: range.value / 100 })
    });
    const node = el("label", { class: "strength" }, [el("span", { text: "Colours" }), range]);
    const tell = () => {
      range.value = Math.round(set.strength * 100);
      range.disabled = !set.on;
    };
    return { node: node, tell: tell };
  }

  // The switches of a pane, and who is named on its map; called once its map and tools stand.
  function dress(pane, tools) {
    pane.credit = el("p", { class: "credit", hidden: true });
    pane.switches = [];
    panes.push(pane);
    const parts = [];
    if (has()) parts.push(check("Map of streets", "on"), slider());
    if (Explore.names.any()) parts.push(check("Names of places", "names"));
    tools.parentNode.append(pane.credit);
    pane.node.style.setProperty("--solid", strength());
    if (parts.length) {
      const box = el("div", { class: "ground", hidden: true, role: "group", "aria-label": "Below and on the map" });
      const open = button("▤", () => toggle(box.hidden), {
        "aria-label": "Streets and names",
        title: "Streets and names",
        "aria-expanded": "false",
        class: "ground-open"
      });
      const toggle = (on) => {
        box.hidden = !on;
        open.setAttribute("aria-expanded", String(on));
      };
      box.append(...parts.map((one) => one.node));
      box.addEventListener("keydown", (event) => {
        if (event.key !== "Escape") return;
        toggle(false);
        open.focus();
      });
      pane.switches = parts.map((one) => one.tell);
      pane.switches.forEach((tell) => tell());
      tools.append(open);
      tools.after(box);
    }
    credit();
  }

  // What a link keeps, and its way back; nothing where all is as at first.
  const usual = JSON.stringify(set);
  const written = () => (JSON.stringify(set) === usual ? null : [set.on ? 1 : 0, set.strength, set.names ? 1 : 0]);

  function read(kept) {
    if (!Array.isArray(kept)) return;
    const share = Number(kept[1]);
    change({
      on: Boolean(kept[0]),
      strength: share >= 0.1 && share <= 1 ? share : set.strength,
      names: Boolean(kept[2])
    });
  }

  return {
    start,
    add,
    dress,
    strength,
    shown,
    written,
    read,
    credit: () => (shown() ? told.credit : ""),
    names: () => set.names,
    layer: () => (has() ? ["places", "place"].find((name) => told.layers.includes(name)) || null : null)
  };
})();
