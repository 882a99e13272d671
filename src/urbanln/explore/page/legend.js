// The legend of a map: a swatch a class, which selects the class, the breaks between them, what has no value.
Explore.legend = (function () {
  "use strict";
  const { el, clear, button } = Explore;

  // The largest value below one, of those that 32 bits hold, as columns do.
  function below(value) {
    const near = new Float32Array([value]),
      bits = new Int32Array(near.buffer);
    if (near[0] < value) return near[0];
    bits[0] = near[0] === 0 ? -(2 ** 31) + 1 : bits[0] + (near[0] > 0 ? -1 : 1);
    return near[0];
  }

  // A click selects what is in the class; a value at a break belongs to the class above it.
  function swatch(pane, i) {
    const { names, counts, ends, colours, column } = pane.scale;
    const count = counts[i];
    const text = names[i] + ": " + count.toLocaleString("en-US") + (count === 1 ? " region" : " regions");
    const low = ends ? ends[i] : i;
    const high = !ends ? i : i === names.length - 1 ? ends[i + 1] : below(ends[i + 1]);
    return button("", () => Explore.selection.range(column.key, low, high), {
      class: "swatch",
      "aria-label": "Select " + text,
      title: text,
      disabled: !count,
      style: { backgroundColor: colours[i] }
    });
  }

  function legend(pane) {
    const { scale } = pane,
      column = scale.column,
      unit = Explore.columns.unit(column),
      box = clear(pane.legend);
    const head = el("p", { class: "legend-head" }, [
      el("span", { class: "named", title: column.note || null }, [
        el("b", { text: column.title }),
        el("span", { text: (unit ? " " + unit : "") + (column.note ? " · " + column.note : "") })
      ]),
      el("span", { class: "missing marked" }),
      scale.missing
        ? el("span", { class: "missing" }, [
            el("i", { class: "none" }),
            scale.missing.toLocaleString("en-US") + " without a value"
          ])
        : null
    ]);
    const list = el(
      "ul",
      { class: scale.ends ? "classes" : "classes named", "aria-label": "Classes" },
      scale.names.map((name, i) => el("li", {}, [swatch(pane, i), scale.ends ? null : el("span", { text: name })]))
    );
    box.append(head, scale.names.length ? list : "");
    if (scale.ends && scale.names.length) {
      const texts = scale.ends.map((end) => Explore.columns.format(column, end)),
        open = pane.choice.breaks === "diverging";
      // The first and the last stand inside, so each needs one and a half widths to the next.
      const last = texts.length - 1,
        wide = Math.max(...texts.map((text) => text.length)) * 6.6 * 1.5 + 8;
      const step = Math.ceil(wide / ((list.clientWidth || 320) / last));
      const shown = (i) =>
        open
          ? i > 0 && i < last && (i - 1) % step === 0
          : i === 0 || (i === last && texts[last] !== texts[0]) || (i % step === 0 && last - i >= step);
      box.append(
        el(
          "div",
          { class: "ends", "aria-hidden": "true" },
          texts.map((text, i) =>
            shown(i)
              ? el("span", {
                  text: text,
                  style: { left: (100 * i) / last + "%" },
                  class: i === 0 ? "first" : i === last ? "last" : null
                })
              : null
          )
        )
      );
    }
  }

  // The share of the bar at which a value stands: its class, and how far into it.
  function place(ends, value) {
    const k = ends.length - 1;
    let c = 0;
    while (c < k - 1 && value >= ends[c + 1]) c++;
    const within = (value - ends[c]) / (ends[c + 1] - ends[c] || 1);
    return (c + Math.max(0, Math.min(1, within))) / k;
  }

  // Marks on the bar: the chosen region, which is named, and where those that a query found begin.
  function mark(pane) {
    const { scale } = pane,
      told = Explore.columns.marks(scale.column, pane.values),
      chosen = told.find(([style]) => style === "chosen");
    pane.legend.querySelector(".marked").textContent = chosen ? chosen[2] : "";
    pane.legend.querySelectorAll(".classes > .at").forEach((one) => one.remove());
    if (!scale.ends) return;
    pane.legend.querySelector(".classes").append(
      ...told.map(([style, [value], text]) =>
        el("li", {
          class: "at " + style,
          title: text,
          "aria-hidden": "true",
          style: { left: 100 * place(scale.ends, value) + "%" }
        })
      )
    );
  }

  // Which ends have room depends on the width, which a second map or a turned phone changes.
  function watch(pane) {
    let width = pane.legend.clientWidth;
    pane.watch = new ResizeObserver(() => {
      if (pane.legend.clientWidth === width) return;
      width = pane.legend.clientWidth;
      draw(pane);
    });
    pane.watch.observe(pane.legend);
  }

  function draw(pane) {
    legend(pane);
    mark(pane);
    if (!pane.watch) watch(pane);
  }

  return { draw, mark };
})();
