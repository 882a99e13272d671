// What the reader takes away: the selection as a file, the view as a picture.
Explore.take = (function () {
  "use strict";
  const { state, el, button, choice, attempt } = Explore;
  const FORMATS = { geojson: "GeoJSON", csv: "CSV", parquet: "GeoParquet" };

  function save(blob, name) {
    const link = el("a", { href: URL.createObjectURL(blob), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }

  function name(what, ending) {
    return (state.content.title.replace(/[^\w-]+/g, "-").replace(/^-+|-+$/g, "") || "city") + "-" + what + "." + ending;
  }

  // Without a selection all regions are taken; columns of this session (searches) stay here.
  function rows() {
    return Explore.selection.names().length
      ? Explore.selection.rows()
      : Array.from({ length: state.content.n }, (_, row) => row);
  }

  function box() {
    const formats = (state.content.can.take || []).filter((format) => FORMATS[format]);
    let format = formats[0];
    const go = button(
      "Take away",
      () =>
        attempt(async () => {
          const keys = state.content.columns.map((column) => column.key);
          const blob = await Explore.source.take(rows(), format, keys);
          save(blob, name(Explore.selection.names().length ? "selection" : "regions", format));
          Explore.say("Saved " + rows().length.toLocaleString("en-US") + " regions as " + FORMATS[format]);
        }, go),
      { class: "main" }
    );
    const node = el(
      "div",
      { class: "row take" },
      formats.length
        ? [
            choice(
              "Format",
              formats.map((key) => [key, FORMATS[key]]),
              format,
              (key) => {
                format = key;
              },
              true
            ),
            go
          ]
        : []
    );
    const tell = () => {
      go.textContent = Explore.selection.names().length ? "Take away the selection" : "Take away all regions";
    };
    Explore.on("selection", tell);
    tell();
    return node;
  }

  function legend(pen, pane, x, y, wide) {
    const { scale } = pane,
      column = scale.column,
      k = scale.names.length;
    pen.fillStyle = Explore.colour("ink");
    pen.font = "600 15px system-ui, sans-serif";
    pen.fillText(
      column.title +
        (Explore.columns.unit(column) ? ", " + Explore.columns.unit(column) : "") +
        (scale.missing ? " (grey: no value)" : ""),
      x,
      y,
      wide
    );
    pen.font = "12px system-ui, sans-serif";
    if (!scale.ends) {
      const each = Math.max(90, wide / Math.min(k, 5));
      scale.names.forEach((text, i) => {
        const column_ = i % Math.floor(wide / each),
          line = Math.floor(i / Math.floor(wide / each));
        pen.fillStyle = scale.colours[i];
        pen.globalAlpha = Explore.basemap.strength();
        pen.fillRect(x + column_ * each, y + 12 + 18 * line, 12, 12);
        pen.globalAlpha = 1;
        pen.fillStyle = Explore.colour("ink");
        pen.fillText(text, x + column_ * each + 17, y + 22 + 18 * line, each - 22);
      });
      return;
    }
    pen.globalAlpha = Explore.basemap.strength(); // as on the map
    scale.colours.forEach((c, i) => {
      pen.fillStyle = c;
      pen.fillRect(x + (i * wide) / k, y + 12, wide / k, 12);
    });
    pen.globalAlpha = 1;
    pen.fillStyle = Explore.colour("soft");
    scale.ends.forEach((end, i) => {
      if (pane.choice.breaks === "diverging" && (i === 0 || i === k)) return;
      pen.textAlign = i === 0 ? "left" : i === k ? "right" : "center";
      if (k < 7 || i % 2 === 0 || i === k)
        pen.fillText(Explore.columns.format(scale.column, end), x + (i * wide) / k, y + 40);
    });
    pen.textAlign = "left";
  }

  // Maps, legends, scale bar and sources as one picture, drawn anew at twice the size.
  async function picture() {
    const panes = Explore.panes.all().filter((pane) => pane.scale),
      sizes = panes.map((pane) => pane.map.size());
    const gap = 16,
      wide = sizes.reduce((sum, size) => sum + size[0] + gap, gap),
      high = Math.max(...sizes.map((size) => size[1])),
      foot = 140;
    const canvas = el("canvas", { width: wide * 2, height: (high + foot) * 2 }),
      pen = canvas.getContext("2d");
    pen.scale(2, 2);
    pen.fillStyle = Explore.colour("ground");
    pen.fillRect(0, 0, wide, high + foot);
    let x = gap;
    const shots = await Promise.all(
      panes.map((pane) =>
        pane.map.snapshot && (state.content.tiles || Explore.basemap.shown()) ? pane.map.snapshot() : null
      )
    );
    panes.forEach((pane, i) => {
      const [w, h] = sizes[i],
        bar = Explore.places.bar(pane.map.view(), 110);
      pen.save();
      pen.translate(x, gap);
      pen.beginPath();
      pen.rect(0, 0, w, h);
      pen.clip();
      if (shots[i]) pen.drawImage(shots[i], 0, 0, w, h);
      else Explore.stillMap.draw(pen, pane.map.view(), [w, h], pane.scale, Explore.selection.mask(), state.row, null);
      Explore.names.draw(pen, pane.map.view(), [w, h], pane.found);
      pen.fillStyle = Explore.colour("ink");
      pen.fillRect(10, h - 12, bar.pixels, 2);
      pen.font = "12px system-ui, sans-serif";
      pen.fillText(bar.text, 10, h - 18);
      pen.restore();
      legend(pen, pane, x, high + gap + 24, w);
      x += w + gap;
    });
    pen.fillStyle = Explore.colour("soft");
    pen.font = "11px system-ui, sans-serif";
    const terms = state.content.cities
      .reduce((all, city) => all.concat(city.terms || []), [Explore.basemap.credit()])
      .filter(Boolean);
    pen.fillText(state.content.title + " · " + terms.join(" · "), gap, high + foot - 12, wide - 2 * gap);
    canvas.toBlob((blob) => {
      save(blob, name("map", "png"));
      Explore.say("Saved the picture of the maps");
    }, "image/png");
  }

  return { box, picture };
})();
