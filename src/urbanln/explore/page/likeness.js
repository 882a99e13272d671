// What looks alike, answered in the page of an export, as the server answers it (answers.py, search.py):
// cosines with the unit vectors, which data.js holds in 16 bits a number (rounded.py).
Explore.likeness = (function () {
  "use strict";
  const KEPT = 16;
  const queries = new Map(); // key to direction, the last ones
  let held = null;

  // { width, step, rows, steps, metres, of }: of = place of each region's vector, −1 without.
  function hold(found) {
    const of = new Int32Array(window.URBANLN_DATA.content.n).fill(-1);
    found.rows.forEach((row, i) => {
      of[row] = i;
    });
    held = Object.assign({ of: of }, found);
  }

  function vectors() {
    if (held) return held;
    const packed = window.URBANLN_DATA.vectors;
    hold({
      width: packed.width,
      step: packed.step,
      rows: new Int32Array(Explore.bytes(packed.rows).buffer),
      steps: new Int16Array(Explore.bytes(packed.steps).buffer),
      metres: new Float64Array(Explore.bytes(packed.metres).buffer)
    });
    delete packed.steps; // the text is of no more use, and the largest thing here
    return held;
  }

  // The mean of the regions' unit vectors, of length 1; null where none of them has a vector.
  function direction(asked) {
    const { width, step, steps, of } = vectors(),
      mean = new Float64Array(width);
    asked.forEach((row) => {
      const at = of[row] * width;
      if (at >= 0) for (let j = 0; j < width; j++) mean[j] += steps[at + j] * step;
    });
    const length = Math.sqrt(mean.reduce((sum, value) => sum + value * value, 0));
    return length > 0 ? mean.map((value) => value / length) : null;
  }

  // The cosine of every region with a direction, NaN where a region has none.
  function scores(query) {
    const { width, step, rows, steps } = vectors(),
      found = new Float32Array(window.URBANLN_DATA.content.n).fill(NaN);
    for (let i = 0, at = 0; i < rows.length; i++) {
      let sum = 0;
      for (let j = 0; j < width; j++) sum += steps[at++] * query[j];
      found[rows[i]] = sum * step;
    }
    return found;
  }

  // Which regions are not wanted: those asked for, and all nearer to one of them.
  function unwanted(asked, far) {
    const { metres } = vectors(),
      out = new Uint8Array(metres.length / 2),
      reach = (far * 1000) ** 2;
    asked.forEach((row) => {
      out[row] = 1;
    });
    if (far > 0)
      for (let row = 0; row < out.length; row++)
        if (
          !out[row] &&
          asked.some((one) => (metres[2 * one] - metres[2 * row]) ** 2 + (metres[2 * one + 1] - metres[2 * row + 1]) ** 2 < reach)
        )
          out[row] = 1;
    return out;
  }

  // The k regions most alike, equal ones in the order of the vectors; null without a direction.
  function nearest(asked, far, k) {
    const query = direction(asked);
    if (!query) return null;
    const { rows } = vectors(),
      all = scores(query),
      out = unwanted(asked, far);
    // Of very many the few are sorted that reach the k-th.
    const open = Array.from(rows.keys()).filter((i) => !out[rows[i]]),
      least = Float32Array.from(open, (i) => all[rows[i]]).sort()[Math.max(0, open.length - k)];
    const best = open
      .filter((i) => all[rows[i]] >= least)
      .sort((a, b) => all[rows[b]] - all[rows[a]] || a - b)
      .slice(0, k)
      .map((i) => rows[i]);
    return { query: query, rows: best, scores: best.map((row) => all[row]), out: out };
  }

  // As api/similar.
  function similar(asked, far, k) {
    const found = nearest(asked, far, k);
    return (
      found && {
        key: keep(asked, found.query),
        rows: found.rows,
        scores: found.scores,
        left_out: found.out.reduce((sum, one) => sum + one, 0)
      }
    );
  }

  // As `alike` of api/region.
  function alike(row, k) {
    const found = nearest([row], 0, k);
    return found ? found.rows.map((one, i) => ({ row: one, score: found.scores[i] })) : [];
  }

  // A name for a query by what was asked, so that a link to it finds it again.
  function keep(asked, query) {
    let sum = 2166136261;
    asked.forEach((row) => {
      sum = Math.imul(sum ^ row, 16777619);
    });
    const key = "q:" + (sum >>> 0).toString(16);
    queries.delete(key);
    queries.set(key, query);
    if (queries.size > KEPT) queries.delete(queries.keys().next().value);
    return key;
  }

  // The scores of a query that was asked, as a column; null for any other key.
  function column(key) {
    const query = queries.get(key.replace(/:pictures$/, ""));
    return query ? scores(query) : null;
  }

  return { hold, similar, alike, column };
})();
