// The maps of a page: side by side, moving together, with a list of what they show and their numbers as a table.
(function () {
  "use strict";
  var STEP = 200; // rows of the table that are written at a time
  var data = JSON.parse(document.getElementById("map-data").textContent);
  var chooser = byId("map-layer"), placer = byId("map-place"), readout = byId("map-readout");
  var regions = new urbanln.Regions(data.shapes);
  var maps = [], chosen = null, moving = false, touched = false;
  var sorted = { by: null, down: true }, rows = STEP;
  var HINT = "Point at a region, or move from region to region by the arrow keys.";

  function byId(id) { return document.getElementById(id); }

  function make(tag, text, parent) {
    var element = document.createElement(tag);
    if (text !== null) element.textContent = text;
    if (parent) parent.appendChild(element);
    return element;
  }

  function layer() { return data.layers[Number(chooser.value)]; }

  function fail() {
    byId("map-tool").hidden = false;
    byId("map-panels").hidden = true;
    byId("map-reset").hidden = true;
    if (placer) placer.hidden = document.querySelector("label[for=map-place]").hidden = true;
    byId("map-still").hidden = false;
    byId("map-failed").hidden = false;
  }

  function interval(index, bare) {
    var of = layer();
    if (!of.low || of.low[index] === null || of.high[index] === null) return null;
    var unit = bare ? "" : of.views[0].unit;
    return urbanln.quantity(of.low[index]) + " to " + urbanln.quantity(of.high[index]) + (unit ? " " + unit : "");
  }

  function describe(index, separator) {
    var of = layer(), lines = ["Region " + data.ids[index]];
    of.views.forEach(function (view) { lines.push(view.title + " " + urbanln.said(view, view.values[index])); });
    var ends = interval(index);
    if (ends !== null) {
      lines.push("interval " + ends);
      if (of.outside[index] !== null) lines.push("truth " + (of.outside[index] ? "outside it" : "inside it"));
    }
    return lines.join(separator);
  }

  function point(index) {
    if (index === chosen) return;
    chosen = index;
    maps.forEach(function (one) { one.choose(index); });
    tell();
  }

  function tell() { readout.textContent = chosen === null ? HINT : describe(chosen, " · "); }

  function legend(panel) {
    var view = layer().views[panel], box = byId("map-" + panel + "-legend");
    byId("map-" + panel + "-title").textContent = view.title;
    byId("map-" + panel + "-unit").textContent = view.unit;
    box.textContent = "";
    if (view.classes) {
      var list = make("div", null, box);
      list.className = "classes";
      view.classes.forEach(function (one, i) {
        var count = view.values.filter(function (value) { return value === i; }).length;
        var part = make("span", null, list);
        make("i", null, part).style.background = one.colour;
        part.append(one.name + " " + count.toLocaleString("en-US"));
      });
    } else {
      var bar = make("div", null, box), labels = make("div", null, box);
      bar.className = "bar";
      bar.style.background = "linear-gradient(to right, " + urbanln.RAMPS[view.ramp].join(", ") + ")";
      labels.className = "labels";
      view.labels.forEach(function (label) { make("span", label, labels); });
    }
    var empty = view.values.filter(function (value) { return value === null; }).length;
    if (empty) make("div", "grey: " + empty.toLocaleString("en-US") + " without a value", box).className = "empty";
  }

  // Browsers keep what was chosen when a page is loaded again.
  function bounds() { return data.places[placer ? placer.value : 0].bounds; }

  function fit() {
    touched = false;
    maps[0].fit(bounds());
  }

  function columns() {
    var of = layer();
    var shown = of.views.map(function (view) {
      return { title: view.title, unit: view.unit, values: view.values,
        text: function (i) { return urbanln.said(view, view.values[i], true); } };
    });
    if (of.low) shown.push({ title: "interval", unit: "", values: of.low, text: function (i) { return interval(i, true) || "–"; } });
    return shown;
  }

  // By the size of errors, the worst first, until somebody asks for something else.
  function order(shown) {
    var by = sorted.by === null ? Math.max(0, shown.findIndex(function (one) { return one.title === "error"; })) : sorted.by;
    var values = by < 0 ? data.ids : shown[Math.min(by, shown.length - 1)].values;
    var size = sorted.by === null ? function (v) { return typeof v === "number" ? Math.abs(v) : v; } : function (v) { return v; };
    var sign = sorted.down ? -1 : 1;
    return data.ids.map(function (id, i) { return i; }).sort(function (a, b) {
      var x = size(values[a]), y = size(values[b]);
      if (x === null || y === null) return (x === null) - (y === null); // what is missing stands last either way
      return x === y ? a - b : sign * (x < y ? -1 : 1);
    });
  }

  function table() {
    if (!byId("map-table").open) return;
    var box = document.querySelector("#map-table table"), shown = columns(), all = order(shown), more = byId("map-more");
    box.textContent = "";
    var head = make("tr", null, make("thead", null, box)), body = make("tbody", null, box);
    [{ title: "region", unit: "" }].concat(shown).forEach(function (one, at) {
      var cell = make("th", null, head), button = make("button", one.title, cell);
      if (one.unit) make("span", " " + one.unit, cell).className = "quiet";
      cell.scope = "col";
      cell.className = at ? "num" : "";
      button.type = "button";
      if (sorted.by === at - 1) cell.setAttribute("aria-sort", sorted.down ? "descending" : "ascending");
      button.addEventListener("click", function () {
        sorted = { by: at - 1, down: sorted.by === at - 1 ? !sorted.down : at > 0 };
        table();
        document.querySelectorAll("#map-table th button")[at].focus();
      });
    });
    all.slice(0, rows).forEach(function (i) {
      var row = make("tr", null, body);
      make("th", data.ids[i], row).scope = "row";
      shown.forEach(function (one) { make("td", one.text(i), row).className = "num"; });
    });
    more.hidden = all.length <= rows;
    more.textContent = "Show more of " + all.length.toLocaleString("en-US") + " regions";
  }

  function show() {
    var k = Number(chooser.value);
    layer().views.forEach(function (view, panel) {
      legend(panel);
      if (maps[panel]) maps[panel].show(k);
    });
    var ramps = layer().views.some(function (view) { return view.ramp; });
    byId("map-note").textContent = (ramps ? "A scale ends at the 2nd and 98th percentile of its values. " : "") + layer().note;
    tell();
    table();
  }

  function follow(leader) {
    leader.map.on("movestart", function (event) { if (event.originalEvent) touched = true; });
    leader.map.on("move", function () {
      if (moving) return;
      moving = true;
      maps.forEach(function (one) {
        if (one !== leader) one.map.jumpTo({ center: leader.map.getCenter(), zoom: leader.map.getZoom() });
      });
      moving = false;
    });
  }

  function draw() {
    byId("map-tool").hidden = false;
    byId("map-still").hidden = true;
    maps = data.layers[0].views.map(function (view, panel) {
      return new urbanln.MapView("map-" + panel, {
        regions: regions, bounds: bounds(), describe: describe, point: point, home: fit,
        views: data.layers.map(function (of) { return of.views[panel]; }),
        marks: data.layers.map(function (of) { return panel === of.views.length - 1 && of.outside || null; }),
        label: "Map" + (data.layers.length > 1 && data.layers[0].views.length === 1 ? "" : " of " + view.title) +
          ": arrow keys go from region to region, plus and minus zoom, Home shows all",
        leave: function () { point(null); }
      });
    });
    maps.forEach(follow);
    if (placer) placer.addEventListener("change", fit);
    byId("map-reset").addEventListener("click", fit);
    maps[0].map.on("resize", function () { if (!touched) fit(); });
  }

  if (urbanln.canDraw()) {
    try { draw(); } catch (error) { fail(); }
  } else {
    fail();
  }
  chooser.addEventListener("change", show);
  byId("map-table").addEventListener("toggle", table);
  byId("map-more").addEventListener("click", function () { rows += 5 * STEP; table(); });
  show();
})();
