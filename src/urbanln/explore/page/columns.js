// Columns of the content and those made by queries: their values, their names, their class breaks, their colours.
Explore.columns = (function () {
  "use strict";
  const GROUPS = {
    label: "Labels",
    prediction: "Predictions (held out)",
    error: "Errors",
    width: "Interval widths",
    agreement: "Agreement of captions",
    cluster: "Clusters",
    coverage: "Coverage",
    pictures: "Pictures",
    found: "Searches",
    layout: "Layout"
  };
  const BREAKS = { quantile: "Quantiles", natural: "Natural", equal: "Equal", diverging: "Around 0" };
  const made = [];
  const values = new Map();
  const scales = new Map();

  function all() {
    return Explore.state.content.columns.concat(made);
  }

  function entry(key) {
    return all().find((column) => column.key === key) || null;
  }

  // A column that a query brought: its values are known, or asked for when shown.
  function add(column, found) {
    const at = made.findIndex((other) => other.key === column.key);
    if (at >= 0) made.splice(at, 1, column);
    else made.push(column);
    if (found) values.set(column.key, Promise.resolve(found));
    Array.from(scales.keys())
      .filter((name) => name.startsWith(column.key + "|"))
      .forEach((name) => scales.delete(name));
    Explore.emit("columns");
  }

  function get(key) {
    if (!values.has(key)) {
      const asked = Explore.source.column(key);
      asked.catch(() => values.delete(key));
      values.set(key, asked);
    }
    return values.get(key);
  }

  function options(filter) {
    const groups = new Map();
    all()
      .filter((column) => column.group !== "low" && column.group !== "high" && (!filter || filter(column)))
      .forEach((column) => {
        const group = GROUPS[column.group] || GROUPS.coverage;
        if (!groups.has(group)) groups.set(group, []);
        groups.get(group).push([column.key, column.title]);
      });
    return Array.from(groups, ([group, options]) => ({ group: group, options: options }));
  }

  function breakOptions(column) {
    return Object.entries(BREAKS).filter(
      ([key]) => key !== "diverging" || column.low < 0 || column.kind === "difference"
    );
  }

  function usual(column) {
    return column.kind === "difference" ? "diverging" : "quantile";
  }

  function format(column, value) {
    if (Number.isNaN(value) || value === null || value === undefined) return "no value";
    if (column.kind === "class") return (column.classes && column.classes[value]) || "class " + value;
    return column.kind === "difference" ? urbanln.difference(value, column.log) : urbanln.told(value, column.kind);
  }

  function unit(column) {
    return column.kind === "difference" && column.log ? "in log units" : column.unit || "";
  }

  function mix(a, b, share) {
    const part = (hex, i) => parseInt(hex.slice(1 + 2 * i, 3 + 2 * i), 16);
    return (
      "#" +
      [0, 1, 2]
        .map((i) =>
          Math.round(part(a, i) + (part(b, i) - part(a, i)) * share)
            .toString(16)
            .padStart(2, "0")
        )
        .join("")
    );
  }

  // k colours evenly out of a ramp; two classes are its ends.
  function ramp(colours, k) {
    return Array.from({ length: k }, (_, i) => {
      const at = k === 1 ? (colours.length - 1) / 2 : (i / (k - 1)) * (colours.length - 1),
        low = Math.min(Math.floor(at), colours.length - 2);
      return mix(colours[low], colours[low + 1], at - low);
    });
  }

  // A colour per class; where they run out, the classes behind are grey, so that no two share a colour.
  function hues(count) {
    const own = urbanln.CLASSES.filter((colour) => colour !== urbanln.GREY),
      used = count <= urbanln.CLASSES.length ? urbanln.CLASSES : own;
    return Array.from({ length: count }, (_, i) => used[i] || urbanln.GREY);
  }

  function classed(column, found) {
    let most = -1;
    found.forEach((value) => {
      if (value > most) most = value;
    });
    const names = Array.from({ length: most + 1 }, (_, i) => format(column, i));
    return {
      classes: Int16Array.from(found, (value) => (Number.isNaN(value) ? -1 : value)),
      names: names,
      colours: hues(names.length),
      ends: null
    };
  }

  function numbered(column, found, kind, count) {
    const cuts = Explore.breaks.find(found, kind, count),
      ends = [cuts.low].concat(cuts.inner, cuts.high);
    // Nothing is known: no class has a colour.
    if (Number.isNaN(cuts.low)) return { classes: new Int16Array(found.length).fill(-1), names: [], colours: [], ends: null };
    const names = Array.from({ length: cuts.inner.length + 1 }, (_, i) => {
      if (kind === "diverging" && i === 0) return "below " + format(column, ends[1]);
      if (kind === "diverging" && i === cuts.inner.length) return format(column, ends[i]) + " or more";
      return format(column, ends[i]) + " to " + format(column, ends[i + 1]);
    });
    const colours = ramp(kind === "diverging" ? urbanln.RAMPS.diverging : urbanln.RAMPS.viridis, names.length);
    return { classes: Explore.breaks.classify(found, cuts.inner), names: names, colours: colours, ends: ends };
  }

  // The classes of a column: { column, classes (n), names, colours, counts, missing, ends (null for named classes) }.
  async function scale(key, kind, count) {
    const name = key + "|" + kind + "|" + count;
    if (!scales.has(name)) {
      const column = entry(key),
        found = await get(key);
      const one = column.kind === "class" ? classed(column, found) : numbered(column, found, kind, count);
      one.column = column;
      one.counts = new Array(one.names.length).fill(0);
      one.missing = 0;
      one.classes.forEach((c) => {
        if (c < 0) one.missing++;
        else one.counts[c]++;
      });
      scales.set(name, one);
    }
    return scales.get(name);
  }

  // What stands out among a column's values: [style, values, text], of the chosen region and of where those that a
  // query found begin.
  function marks(column, found) {
    const row = Explore.state.row,
      value = row === null ? NaN : found[row];
    const told = [];
    if (!Number.isNaN(value)) told.push(["chosen", [value], Explore.label(row) + " " + format(column, value)]);
    if (column.least) told.push(["least", [column.least.value], column.least.text]);
    return told;
  }

  // Where the regions that a query found begin: { value, text }; null where it found none.
  function least(found) {
    const value = found.scores[found.scores.length - 1];
    return found.rows.length
      ? { value: value, text: "the " + found.rows.length + " found, from " + urbanln.quantity(value) + " on" }
      : null;
  }

  return { all, entry, add, get, mix, options, breakOptions, usual, format, unit, scale, hues, marks, least };
})();
