// Class breaks of a column: k classes have k − 1 inner breaks and two ends, all in the column's unit.
Explore.breaks = (function () {
  "use strict";
  const MOST = 800;

  function known(values) {
    const kept = values.filter((value) => !Number.isNaN(value));
    return kept.sort();
  }

  function quantile(sorted, share) {
    const at = share * (sorted.length - 1),
      low = Math.floor(at),
      high = Math.ceil(at);
    return sorted[low] + (sorted[high] - sorted[low]) * (at - low);
  }

  function inner(k, place) {
    return Array.from({ length: k - 1 }, (_, i) => place((i + 1) / k));
  }

  // Distinct values with their counts; more than MOST are joined into groups of equal count first.
  function groups(sorted) {
    const step = Math.max(1, Math.ceil(sorted.length / MOST)),
      found = [];
    let distinct = 1;
    for (let i = 1; i < sorted.length; i++) if (sorted[i] !== sorted[i - 1]) distinct++;
    const size = distinct > MOST ? step : 1;
    for (let i = 0; i < sorted.length;) {
      let end = Math.min(i + size, sorted.length);
      while (end < sorted.length && sorted[end] === sorted[end - 1]) end++;
      let sum = 0,
        squares = 0;
      for (let j = i; j < end; j++) {
        sum += sorted[j];
        squares += sorted[j] * sorted[j];
      }
      found.push({ low: sorted[i], high: sorted[end - 1], count: end - i, sum: sum, squares: squares });
      i = end;
    }
    return found;
  }

  // Fisher (1958) and Jenks (1977): the k classes with the least squared distance to their means, exactly,
  // by dynamic programming over the distinct values (at most MOST groups of them).
  function natural(sorted, k) {
    const shift = sorted[Math.floor(sorted.length / 2)],
      bins = groups(sorted.map((value) => value - shift));
    const n = bins.length;
    if (n <= k) return bins.slice(1).map((bin, i) => (bin.low + bins[i].high) / 2 + shift);
    const count = [0],
      sum = [0],
      squares = [0];
    bins.forEach((bin, i) => {
      count.push(count[i] + bin.count);
      sum.push(sum[i] + bin.sum);
      squares.push(squares[i] + bin.squares);
    });
    const cost = (i, j) => squares[j] - squares[i] - (sum[j] - sum[i]) ** 2 / (count[j] - count[i]);
    let best = bins.map((_, j) => cost(0, j + 1));
    const from = [];
    for (let c = 1; c < k; c++) {
      const next = new Array(n).fill(Infinity),
        cut = new Array(n).fill(0);
      for (let j = c; j < n; j++) {
        for (let i = c; i <= j; i++) {
          const total = best[i - 1] + cost(i, j + 1);
          if (total < next[j]) {
            next[j] = total;
            cut[j] = i;
          }
        }
      }
      from.push(cut);
      best = next;
    }
    const found = [];
    for (let c = k - 2, j = n - 1; c >= 0; c--) {
      const i = from[c][j];
      found.unshift((bins[i - 1].high + bins[i].low) / 2 + shift);
      j = i - 1;
    }
    return found;
  }

  // Evenly on both sides of 0 up to the 98th percentile of the size, so that few far values do not bleach the rest.
  function diverging(sorted, k) {
    const sizes = Float32Array.from(sorted, Math.abs).sort(),
      end = quantile(sizes, 0.98) || sizes[sizes.length - 1] || 1;
    return inner(k, (share) => (2 * share - 1) * end);
  }

  // Inner breaks, each once, ascending and inside the values; what has one value only has none.
  function find(values, kind, k) {
    const sorted = known(values);
    if (!sorted.length) return { low: NaN, high: NaN, inner: [] };
    const low = sorted[0],
      high = sorted[sorted.length - 1];
    let cuts =
      kind === "equal"
        ? inner(k, (share) => low + (high - low) * share)
        : kind === "natural"
          ? natural(sorted, k)
          : kind === "diverging"
            ? diverging(sorted, k)
            : inner(k, (share) => quantile(sorted, share));
    if (kind !== "diverging")
      cuts = cuts.filter((cut, i) => cut > low && cut <= high && (i === 0 || cut > cuts[i - 1]));
    return { low: low, high: high, inner: low < high || kind === "diverging" ? cuts : [] };
  }

  // The class of each value, −1 where it is missing; a value at a break belongs to the class above it.
  function classify(values, cuts) {
    const classes = new Int16Array(values.length);
    for (let i = 0; i < values.length; i++) {
      const value = values[i];
      if (Number.isNaN(value)) {
        classes[i] = -1;
        continue;
      }
      let c = 0;
      while (c < cuts.length && value >= cuts[c]) c++;
      classes[i] = c;
    }
    return classes;
  }

  return { find, classify, natural: (values, k) => natural(Float64Array.from(values).sort(), k) };
})();
