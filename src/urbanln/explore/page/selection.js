// What is selected: the regions that pass every part. A part is a range of a column, or rows drawn or listed.
Explore.selection = (function () {
  "use strict";
  // By name: these hold { rows: Uint8Array (n) }; "range key" holds { key, low, high }.
  const PICKED = ["map", "layout", "scatter", "list"];
  const parts = new Map();
  let mask = null,
    count = 0,
    asked = 0;

  async function passing(part) {
    if (part.rows) return part.rows;
    const values = await Explore.columns.get(part.key);
    return Uint8Array.from(values, (value) => (value >= part.low && value <= part.high ? 1 : 0));
  }

  // Rows that pass all parts, but for those named in `without` (cross-filter); null where no part is left.
  async function masked(without) {
    const kept = Array.from(parts)
      .filter(([name]) => name !== without)
      .map(([, part]) => part);
    if (!kept.length) return null;
    const each = await Promise.all(kept.map(passing));
    return each[0].map((_, i) => (each.every((one) => one[i]) ? 1 : 0));
  }

  async function change(action) {
    action();
    const turn = ++asked,
      next = await masked();
    if (turn !== asked) return;
    mask = next;
    count = mask ? mask.reduce((sum, one) => sum + one, 0) : 0;
    Explore.emit("selection");
  }

  function range(key, low, high) {
    return change(() => {
      parts.set("range " + key, { key: key, low: low, high: high });
    });
  }

  // `rows` are row numbers; drawn again, a part takes the place of the one drawn before.
  function pick(name, rows) {
    const picked = new Uint8Array(Explore.state.content.n);
    rows.forEach((row) => {
      picked[row] = 1;
    });
    return change(() => {
      parts.set(name, { rows: picked });
    });
  }

  function drop(name) {
    return change(() => {
      parts.delete(name);
    });
  }

  function empty() {
    return change(() => {
      parts.clear();
    });
  }

  function rows() {
    const found = [];
    if (mask)
      mask.forEach((one, row) => {
        if (one) found.push(row);
      });
    return found;
  }

  // Parts as short text for a link, and back: ranges as numbers, rows as runs ("3-7.12").
  function runs(picked) {
    const found = [];
    for (let i = 0; i < picked.length; i++) {
      if (!picked[i]) continue;
      let end = i;
      while (picked[end + 1]) end++;
      found.push(end > i ? i.toString(36) + "-" + end.toString(36) : i.toString(36));
      i = end;
    }
    return found.join(".");
  }

  function written() {
    return Array.from(parts).map(([name, part]) => (part.rows ? [name, runs(part.rows)] : [name, part.low, part.high]));
  }

  function read(saved) {
    const n = Explore.state.content.n;
    return change(() => {
      parts.clear();
      saved.forEach(([said, low, high]) => {
        const name = String(said);
        if (name.startsWith("range ")) {
          const key = name.slice(6);
          if (Explore.columns.entry(key)) parts.set(name, { key: key, low: Number(low), high: Number(high) });
          return;
        }
        if (!PICKED.includes(name)) return;
        const picked = new Uint8Array(n);
        String(low)
          .split(".")
          .filter(Boolean)
          .forEach((run) => {
            const [first, last] = run.split("-").map((part) => parseInt(part, 36));
            for (let i = first; i <= Math.min(last === undefined ? first : last, n - 1); i++) picked[i] = 1;
          });
        parts.set(name, { rows: picked });
      });
    });
  }

  return {
    range,
    pick,
    drop,
    empty,
    rows,
    masked,
    written,
    read,
    part: (name) => parts.get(name),
    names: () => Array.from(parts.keys()),
    mask: () => mask,
    count: () => count
  };
})();
