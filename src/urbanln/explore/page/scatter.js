// Two columns against each other, as dots on a canvas, brushed with the pointer: the scatter and the layout of vectors.
Explore.scatter = (function () {
  "use strict";
  const { state, el, clear } = Explore;

  // `name` is the part of the selection that the brush makes. Gives { node, show(xKey, yKey) }.
  function make(name, height, axes) {
    const canvas = el("canvas", { role: "img" }),
      above = el("canvas", { "aria-hidden": "true" });
    const box = el("div", { class: "scatter", style: { height: height + "px" } }, [canvas, above]);
    let xs = null,
      ys = null,
      keys = null,
      ends = null,
      turn = 0,
      due = false;

    const size = () => [box.clientWidth, box.clientHeight];
    const left = axes ? 6 : 8;

    // Pixels are x0 + kx · value across, y0 + ky · value down.
    function fitted() {
      const [wide, high] = size(),
        kx = (wide - 2 * left) / (ends[0][1] - ends[0][0] || 1),
        ky = (16 - high) / (ends[1][1] - ends[1][0] || 1);
      return [left - kx * ends[0][0], kx, high - 8 - ky * ends[1][0], ky];
    }

    function place(row) {
      if (!xs || Number.isNaN(xs[row]) || Number.isNaN(ys[row])) return null;
      const [x0, kx, y0, ky] = fitted();
      return [x0 + kx * xs[row], y0 + ky * ys[row]];
    }

    function sheetOf(node) {
      const [wide, high] = size(),
        sharp = devicePixelRatio || 1,
        pen = node.getContext("2d");
      node.width = wide * sharp;
      node.height = high * sharp;
      pen.scale(sharp, sharp);
      return pen;
    }

    // Coloured as the first map, so that the two are read together; the selected above the others. Pixel by pixel: a
    // million dots drawn one by one would take seconds.
    function paint() {
      due = false;
      const pane = Explore.panes.all()[0],
        mask = Explore.selection.mask();
      if (!size()[0] || !xs || !pane) return;
      const pen = sheetOf(canvas),
        { width, height } = canvas,
        sharp = devicePixelRatio || 1,
        pixels = new Uint32Array(width * height),
        side = Math.round((state.content.n > 20000 ? 2 : state.content.n > 3000 ? 3.2 : 5.2) * sharp),
        [x0, kx, y0, ky] = fitted().map((one) => one * sharp);
      const names = (pane.scale ? pane.scale.colours : []).concat(Explore.colour("empty")),
        inks = [51, 230].map((alpha) => names.map((name) => Explore.ink(name, alpha))),
        classes = pane.scale ? pane.scale.classes : null;
      for (let above = 0; above < 2; above++)
        for (let row = 0; row < state.content.n; row++) {
          if ((mask && !mask[row] ? 0 : 1) !== above) continue;
          const px = Math.round(x0 + kx * xs[row] - side / 2),
            py = Math.round(y0 + ky * ys[row] - side / 2);
          // What has no value is nowhere.
          if (!(px >= 0 && py >= 0 && px + side <= width && py + side <= height)) continue;
          const ink = inks[above][classes && classes[row] >= 0 ? classes[row] : names.length - 1];
          for (let y = py; y < py + side; y++) pixels.fill(ink, y * width + px, y * width + px + side);
        }
      pen.putImageData(new ImageData(new Uint8ClampedArray(pixels.buffer), width, height), 0, 0);
      marks();
    }

    // On a sheet of their own: dots are many, and these follow the pointer.
    function marks() {
      if (!size()[0] || !xs) return;
      const pen = sheetOf(above);
      [
        [state.hovered, 4],
        [state.row, 5]
      ].forEach(([row, r]) => {
        const at = row === null ? null : place(row);
        if (!at) return;
        pen.beginPath();
        pen.arc(at[0], at[1], r + 1, 0, 2 * Math.PI);
        pen.strokeStyle = Explore.colour("ink");
        pen.lineWidth = 2;
        pen.stroke();
      });
    }

    function later() {
      if (due) return;
      due = true;
      requestAnimationFrame(paint);
    }

    function nearest(event) {
      const area = canvas.getBoundingClientRect(),
        [x0, kx, y0, ky] = xs ? fitted() : [],
        x = event.clientX - area.left - x0,
        y = event.clientY - area.top - y0;
      let best = null,
        least = 100;
      for (let row = 0; xs && row < state.content.n; row++) {
        const far = (kx * xs[row] - x) ** 2 + (ky * ys[row] - y) ** 2;
        if (far < least) {
          least = far;
          best = row;
        }
      }
      return best;
    }

    const sheet = Explore.lasso.over(box, place, name, (event) => {
      const row = nearest(event);
      if (row !== null) Explore.choose(row);
      return row !== null;
    });
    sheet.addEventListener("pointermove", (event) => {
      if (event.buttons) return;
      const row = nearest(event);
      Explore.hover(row);
      Explore.tip(row === null ? "" : Explore.panes.describe(row).join("\n"), event.clientX, event.clientY);
    });
    sheet.addEventListener("pointerleave", () => {
      Explore.hover(null);
      Explore.tip("");
    });

    async function show(x, y) {
      const mine = ++turn,
        found = await Promise.all([Explore.columns.get(x), Explore.columns.get(y)]);
      if (mine !== turn) return;
      [xs, ys] = found;
      keys = [x, y];
      ends = found.map((values) => Explore.histogram.range(values));
      const titles = keys.map((key) => {
        const column = Explore.columns.entry(key);
        return column ? column.title : key;
      });
      canvas.setAttribute(
        "aria-label",
        axes
          ? "Scatter of " + titles[1] + " against " + titles[0] + ". By keyboard: add filters of both."
          : "Layout of the vectors: what looks alike lies close. By keyboard: filter by its two columns."
      );
      if (axes) {
        const text = (key, value) => {
          const column = Explore.columns.entry(key);
          return Explore.columns.format(column, value);
        };
        clear(axes).append(
          el("span", { text: "→ " + titles[0] + " " + text(x, ends[0][0]) + " to " + text(x, ends[0][1]) }),
          el("span", { text: "↑ " + titles[1] + " " + text(y, ends[1][0]) + " to " + text(y, ends[1][1]) })
        );
      }
      later();
    }

    ["selection", "shown"].forEach((event) => Explore.on(event, later));
    ["row", "hover"].forEach((event) => Explore.on(event, marks));
    Explore.dark.addEventListener("change", later);
    new ResizeObserver(later).observe(box);
    return { node: box, show: show };
  }

  return { make };
})();
