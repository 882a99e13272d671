// The maps as the reader sees them: one or two panes with a column, its breaks, a legend, a scale bar, moved together.
Explore.panes = (function () {
  "use strict";
  const { state, el, clear, button, choice } = Explore;
  const panes = [];
  let moving = false,
    touched = false,
    still = false,
    pointed = [null];

  function bounds() {
    const cities = state.content.cities,
      at = document.getElementById("city").value;
    return at !== "" && cities[at] ? cities[at].bounds : Explore.places.around(cities);
  }

  function fit() {
    touched = false;
    panes.forEach((pane) => pane.map.fit(bounds()));
  }

  function describe(row) {
    const lines = [Explore.label(row)];
    panes.forEach((pane, i) => {
      const column = pane.scale && pane.scale.column;
      if (!column || (i && column === panes[0].scale.column)) return;
      const value = pane.values[row],
        unit = Number.isNaN(value) ? "" : " " + Explore.columns.unit(column);
      // What a map is coloured by has 24 bits: longer ids stand whole in the region's panel alone.
      const whole = column.kind !== "id" || Math.abs(value) < 2 ** 24;
      lines.push(
        column.title + ": " + (whole ? Explore.columns.format(column, value) : urbanln.quantity(value)) + unit
      );
    });
    return lines;
  }

  function moved(leader, byHand) {
    if (byHand) touched = true;
    const bar = Explore.places.bar(leader.map.view(), 110);
    panes.forEach((pane) => {
      pane.bar.style.width = bar.pixels + "px";
      pane.bar.textContent = bar.text;
    });
    if (leader.drawNames) leader.drawNames();
    if (moving) return;
    moving = true;
    panes.forEach((pane) => {
      if (pane !== leader) pane.map.jump(leader.map.view());
    });
    moving = false;
    Explore.emit("view");
  }

  function hovered(row, event) {
    pointed = [row, event];
    Explore.hover(row);
    Explore.tip(
      row === null || !event ? "" : describe(row).join("\n"),
      event ? event.clientX : 0,
      event ? event.clientY : 0
    );
  }

  // Arrow keys go from region to region, as on the report's maps; the first is the one in the middle.
  function step(pane, direction) {
    const { view, size } = pane.map,
      from = state.hovered;
    const next =
      from === null
        ? urbanln.nearest(state.content.n, Explore.places.of, view().center)
        : urbanln.nearest(state.content.n, Explore.places.of, Explore.places.of(from), direction, from);
    if (next === null) return;
    touched = true;
    Explore.hover(next);
    Explore.say(describe(next).join(", "));
    const [x, y] = pane.map.project(Explore.places.of(next)),
      [wide, high] = size();
    if (x < 20 || y < 20 || x > wide - 20 || y > high - 20)
      pane.map.jump({ center: Explore.places.of(next), zoom: view().zoom });
  }

  function keys(pane) {
    const node = pane.map.focusable,
      moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    const others = {
      "+": () => pane.map.zoomBy(1),
      "=": () => pane.map.zoomBy(1),
      "-": () => pane.map.zoomBy(-1),
      Home: fit,
      Enter: () => {
        if (state.hovered !== null) Explore.choose(state.hovered);
      },
      Escape: () => Explore.hover(null)
    };
    node.setAttribute("role", "application");
    node.setAttribute("aria-roledescription", "map");
    node.setAttribute("aria-describedby", "map-keys");
    node.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.altKey || event.metaKey) return;
      if (moves[event.key]) step(pane, moves[event.key]);
      else if (others[event.key]) others[event.key]();
      else return;
      event.preventDefault();
    });
    node.addEventListener("blur", () => Explore.hover(null));
  }

  // Shows a pane's column, classed as chosen; an answer that comes late gives way to a newer choice.
  async function show(pane) {
    const turn = ++pane.turn,
      { key, breaks, count } = pane.choice;
    const scale = await Explore.columns.scale(key, breaks, count),
      values = await Explore.columns.get(key);
    if (turn !== pane.turn) return;
    pane.scale = scale;
    pane.values = values;
    pane.map.paint(scale, Explore.selection.mask());
    Explore.legend.draw(pane);
    const known = scale.classes.length - scale.missing;
    pane.map.focusable.setAttribute(
      "aria-label",
      "Map of " +
        scale.column.title +
        ", " +
        known.toLocaleString("en-US") +
        " regions with a value in " +
        scale.names.length +
        " classes"
    );
    Explore.emit("shown");
  }

  function controls(pane) {
    const column = Explore.columns.entry(pane.choice.key),
      numbers = column.kind !== "class";
    const set = (change) => {
      Object.assign(pane.choice, change);
      controls(pane);
      Explore.attempt(() => show(pane), pane.node);
    };
    const focus = pane.top.contains(document.activeElement)
      ? Array.from(pane.top.querySelectorAll("select")).indexOf(document.activeElement)
      : -1;
    clear(pane.top).append(
      choice("Colour by", Explore.columns.options(), pane.choice.key, (key) => {
        const next = Explore.columns.entry(key);
        const same = Explore.columns.usual(next) === Explore.columns.usual(column);
        set({ key: key, breaks: same ? pane.choice.breaks : Explore.columns.usual(next), count: pane.choice.count });
      })
    );
    if (numbers) {
      pane.top.append(
        choice(
          "Class breaks",
          Explore.columns.breakOptions(column),
          pane.choice.breaks,
          (breaks) => set({ breaks: breaks }),
          true
        ),
        choice(
          "Number of classes",
          [3, 4, 5, 6, 7, 8, 9].map((k) => [k, k + " classes"]),
          pane.choice.count,
          (k) => set({ count: Number(k) }),
          true
        )
      );
    }
    if (focus >= 0 && pane.top.querySelectorAll("select")[focus]) pane.top.querySelectorAll("select")[focus].focus();
  }

  function add(chosen) {
    const pane = { choice: chosen, turn: 0, scale: null, values: null };
    const box = el("div", { class: "map" }),
      first = !panes.length,
      at = panes.length + 1;
    pane.box = box;
    pane.top = el("div", { class: "pane-top" });
    pane.legend = el("div", { class: "legend" });
    pane.bar = el("div", { class: "scale-bar", "aria-hidden": "true" });
    pane.chip = el("div", { class: "chip", hidden: true });
    const tools = el("div", { class: "map-tools" }, [
      button("+", () => pane.map.zoomBy(1), { "aria-label": "Zoom in", title: "Zoom in" }),
      button("−", () => pane.map.zoomBy(-1), { "aria-label": "Zoom out", title: "Zoom out" }),
      button("⌂", fit, { "aria-label": "Whole city", title: "Whole city" }),
      button("✎", () => Explore.lasso.toggle(), {
        "aria-label": "Draw a selection",
        title: "Draw a selection",
        "aria-pressed": "false",
        class: "draw"
      })
    ]);
    pane.node = el("section", { class: "pane", "aria-label": "Map " + at }, [
      pane.top,
      el("div", { class: "map-box" }, [box, tools, pane.bar, pane.chip]),
      pane.legend
    ]);
    document.getElementById("maps").append(pane.node);
    const hooks = {
      hover: hovered,
      click: (row) => Explore.choose(row),
      move: (byHand) => moved(pane, byHand),
      resize: () => {
        if (first && !touched) fit();
        else moved(pane, false);
      }
    };
    pane.map = (still ? Explore.stillMap.make : state.content.tiles ? Explore.tileMap : Explore.glMap)(
      box,
      bounds(),
      hooks
    );
    panes.push(pane);
    Explore.names.add(pane, box);
    Explore.basemap.dress(pane, tools);
    mark();
    chip(pane);
    keys(pane);
    controls(pane);
    Explore.lasso.over(pane.node.querySelector(".map-box"), (row) => pane.map.project(Explore.places.of(row)), "map");
    moved(pane, false);
    // MapLibre passes over what the first legend takes of the map where it comes at once.
    return Explore.attempt(() => show(pane).then(() => pane.map.resize()), pane.node);
  }

  function two(on) {
    state.two = on;
    document.getElementById("two").checked = on;
    document.getElementById("maps").classList.toggle("both", on);
    if (on && panes.length === 1) {
      const view = panes[0].map.view();
      add(state.panes[1]);
      panes[1].map.jump(view);
    }
    if (panes[1]) panes[1].node.hidden = !on;
    requestAnimationFrame(() => panes.forEach((pane) => pane.map.resize()));
    Explore.emit("shown");
  }

  // Colours the first map by a column, as a search does with its scores.
  function colour(key, at) {
    const pane = panes[at || 0],
      column = Explore.columns.entry(key);
    Object.assign(pane.choice, { key: key, breaks: Explore.columns.usual(column) });
    controls(pane);
    return Explore.attempt(() => show(pane), pane.node);
  }

  function start() {
    still = !urbanln.canDraw();
    document.getElementById("no-webgl").hidden = !still;
    Explore.basemap.start(still);
    Explore.on("row", () => {
      mark();
      panes.forEach((pane) => {
        if (pane.scale) Explore.legend.mark(pane);
      });
    });
    Explore.on("hover", () => mark());
    Explore.on("named", () => {
      if (pointed[0] !== null) hovered(...pointed);
    });
    Explore.on("selection", () =>
      panes.forEach((pane) => {
        pane.map.paint(pane.scale, Explore.selection.mask());
        chip(pane);
      })
    );
    Explore.on("columns", () => panes.forEach(controls));
    Explore.dark.addEventListener("change", () => panes.forEach((pane) => pane.map.recolour()));
    return add(state.panes[0]);
  }

  function chip(pane) {
    pane.chip.hidden = !Explore.selection.names().length;
    clear(pane.chip).append(
      button(
        Explore.selection.count().toLocaleString("en-US") + " selected",
        () => Explore.panel.show("select", true),
        { class: "link" }
      ),
      button("×", () => Explore.selection.empty(), { class: "small", "aria-label": "Clear the selection" })
    );
  }

  function mark() {
    panes.forEach((pane) => pane.map.mark(state.row, state.hovered));
  }

  // Brings a region into view where it is not.
  function reveal(row) {
    const place = Explore.places.of(row);
    if (!panes.length) return;
    const [x, y] = panes[0].map.project(place),
      [wide, high] = panes[0].map.size();
    if (x < 0 || y < 0 || x > wide || y > high) {
      const chooser = document.getElementById("city"),
        city = state.content.cities.findIndex((one) => row >= one.rows[0] && row < one.rows[1]);
      if (chooser.value !== "" && Number(chooser.value) !== city) {
        chooser.value = city; // another city is another view
        fit();
        return;
      }
      touched = true;
      panes[0].map.jump({ center: place, zoom: panes[0].map.view().zoom });
    }
  }

  function jump(view) {
    touched = true;
    panes.forEach((pane) => pane.map.jump(view));
  }

  return {
    start,
    two,
    colour,
    fit,
    jump,
    reveal,
    describe,
    all: () => panes.filter((pane) => !pane.node.hidden),
    view: () => panes[0].map.view(),
    touched: () => touched
  };
})();
