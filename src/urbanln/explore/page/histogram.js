// Histograms as small SVG pictures: all regions grey, those that pass the other filters in colour above.
Explore.histogram = (function () {
  "use strict";
  const { el } = Explore;
  const WIDE = 340,
    BINS = 40;

  function range(values) {
    let low = Infinity,
      high = -Infinity;
    for (let i = 0; i < values.length; i++) {
      if (values[i] < low) low = values[i];
      if (values[i] > high) high = values[i];
    }
    return low <= high ? [low, high] : [0, 1];
  }

  // Where values stand between two ends, 0 to 1, and which value stands where.
  function even(low, high) {
    const wide = high - low;
    return { low, high, log: false, at: (value) => (value - low) / (wide || 1), value: (share) => low + wide * share };
  }

  // By their logarithms where, evenly, half of them would stand in the first tenth, as prices do.
  function axis(values) {
    const [low, high] = range(values),
      known = values.filter((value) => !Number.isNaN(value));
    if (!(low > 0) || known.filter((value) => value < low + (high - low) / 10).length * 2 < known.length)
      return even(low, high);
    const logs = even(Math.log(low), Math.log(high));
    return {
      low,
      high,
      log: true,
      at: (value) => logs.at(Math.log(value)),
      value: (share) => Math.exp(logs.value(share))
    };
  }

  function counts(values, axis, mask) {
    const bins = new Array(BINS).fill(0);
    for (let i = 0; i < values.length; i++) {
      if (Number.isNaN(values[i]) || (mask && !mask[i])) continue;
      bins[Math.max(0, Math.min(BINS - 1, Math.floor(axis.at(values[i]) * BINS)))]++;
    }
    return bins;
  }

  function bars(bins, most, height, style) {
    const wide = WIDE / BINS;
    return el("svg:path", {
      class: style,
      d: bins
        .map((count, i) => {
          if (!count) return "";
          const high = Math.max(1, (count / most) * (height - 2));
          return (
            "M" +
            (i * wide + 0.5).toFixed(1) +
            " " +
            height +
            "v" +
            (-high).toFixed(1) +
            "h" +
            (wide - 1).toFixed(1) +
            "v" +
            high.toFixed(1) +
            "z"
          );
        })
        .join("")
    });
  }

  const TALL = new Set(["best", "chosen", "least"]);

  // Options: mask (passing rows), marks ([[style, values], …] below), from and to (a chosen range), height, label, axis.
  function draw(values, options) {
    const height = options.height || 54,
      marks = options.marks || [];
    let [low, high] = range(values);
    marks.forEach(([, some]) =>
      some.forEach((value) => {
        low = Math.min(low, value);
        high = Math.max(high, value);
      })
    );
    const axis = options.axis || even(low, high),
      x = (value) => axis.at(value) * WIDE;
    const all = counts(values, axis),
      most = Math.max(...all, 1),
      foot = marks.length ? 12 : 0;
    const parts = [bars(all, most, height, options.mask ? "bar all" : "bar")];
    if (options.mask) parts.push(bars(counts(values, axis, options.mask), most, height, "bar"));
    if (options.from !== undefined) {
      parts.push(
        el("svg:rect", { x: 0, y: 0, width: Math.max(0, x(options.from)).toFixed(1), height: height, class: "veil" }),
        el("svg:rect", {
          x: x(options.to).toFixed(1),
          y: 0,
          width: Math.max(0, WIDE - x(options.to)).toFixed(1),
          height: height,
          class: "veil"
        })
      );
    }
    parts.push(el("svg:line", { x1: 0, x2: WIDE, y1: height, y2: height, class: "axis" }));
    marks.forEach(([style, some]) =>
      some.forEach((value) =>
        parts.push(
          el("svg:path", {
            d: TALL.has(style)
              ? "M" + x(value).toFixed(1) + " 0V" + (height + foot)
              : "M" + x(value).toFixed(1) + " " + (height + 2) + "v8",
            class: "tick " + style
          })
        )
      )
    );
    return el(
      "svg:svg",
      {
        viewBox: "0 0 " + WIDE + " " + (height + foot),
        class: "histogram",
        role: "img",
        "aria-label": options.label || "Histogram"
      },
      parts
    );
  }

  // With a key of its marks, [style, values, text] each; in words for who does not see it.
  function keyed(values, marks, label) {
    const shown = marks.filter(([, some]) => some.length);
    return [
      draw(values, {
        marks: shown,
        height: 64,
        label: [label + " of all regions"].concat(shown.map(([, , text]) => text)).join("; ")
      }),
      el(
        "figcaption",
        { class: "key quiet" },
        [el("span", {}, [el("i", { class: "bar-mark" }), "all regions"])].concat(
          shown.map(([style, , text]) => el("span", {}, [el("i", { class: "tick " + style }), text]))
        )
      )
    ];
  }

  return { draw, keyed, range, axis };
})();
