// Parts of the files beside an export of very many regions, by range requests; and tiles out of a PMTiles file.
Explore.parts = (function () {
  "use strict";
  const WHOLE = 128e6, // bytes of a file that is fetched whole where a host gives no parts
    KEPT = 64; // blocks and directories
  const whole = new Map(),
    kept = new Map();

  function trouble(what, remedy) {
    return Object.assign(new Error(what), { remedy: remedy });
  }

  async function ask(file, headers) {
    let answer;
    try {
      answer = await fetch(file, { headers: headers });
    } catch (error) {
      throw trouble("The host of this page does not answer.", "Load the page anew.");
    }
    if (answer.ok) return answer;
    throw trouble(file + " is not there (" + answer.status + ").", "Put the whole folder of the export on the host.");
  }

  // A file as a whole, kept where parts of it are wanted.
  function all(file) {
    return ask(file).then((answer) => answer.arrayBuffer());
  }

  async function part(file, from, to) {
    if (!whole.has(file)) {
      const answer = await ask(file, { Range: "bytes=" + from + "-" + (to - 1) });
      if (answer.status === 206) return answer.arrayBuffer();
      const size = Number(answer.headers.get("content-length"));
      if (size > WHOLE) {
        answer.body.cancel();
        throw trouble(
          "This host gives no parts of files, and " + file + " has " + Math.round(size / 1e6) + " MB.",
          "Use one that answers range requests, such as `npx http-server` or `caddy file-server`."
        );
      }
      if (!whole.has(file)) whole.set(file, answer.arrayBuffer());
    }
    return (await whole.get(file)).slice(from, to);
  }

  // What is made of a part, once for the last ones asked for.
  function once(key, make) {
    const found = kept.get(key) || make();
    kept.delete(key);
    kept.set(key, found);
    found.catch(() => kept.delete(key));
    if (kept.size > KEPT) kept.delete(kept.keys().next().value);
    return found;
  }

  // One of n values that are stored in blocks (wide.py): before them stands where each begins.
  async function stored(file, row, n, block) {
    const count = Math.ceil(n / block) + 1,
      at = Math.floor(row / block);
    const begins = await once(file, () => part(file, 0, 8 * count).then((bytes) => new Float64Array(bytes)));
    const values = await once(file + " " + at, async () =>
      JSON.parse(new TextDecoder().decode(await Explore.packed.unzip(await part(file, begins[at], begins[at + 1]))))
    );
    return values[row % block];
  }

  // The number of a tile: zoom by zoom, along a Hilbert curve.
  function number(z, x, y) {
    let at = (4 ** z - 1) / 3;
    for (let level = z - 1; level >= 0; level--) {
      const side = 2 ** level,
        right = x >= side ? 1 : 0,
        down = y >= side ? 1 : 0;
      at += ((3 * right) ^ down) * 4 ** level;
      x %= side;
      y %= side;
      if (!down) {
        if (right) [x, y] = [side - 1 - x, side - 1 - y];
        [x, y] = [y, x];
      }
    }
    return at;
  }

  // Entries of a directory: numbers, runs, lengths, offsets, seven bits a byte.
  function entries(buffer) {
    const bytes = new Uint8Array(buffer);
    let at = 0;
    const next = () => {
      let value = 0;
      for (let place = 1; ; place *= 128) {
        const byte = bytes[at++];
        value += (byte & 127) * place;
        if (byte < 128) return value;
      }
    };
    const count = next(),
      column = () => Float64Array.from({ length: count }, next);
    const [numbers, runs, lengths, offsets] = [column(), column(), column(), column()];
    for (let i = 0; i < count; i++) {
      if (i) numbers[i] += numbers[i - 1];
      offsets[i] = offsets[i] ? offsets[i] - 1 : offsets[i - 1] + lengths[i - 1];
    }
    return { numbers, runs, lengths, offsets };
  }

  function directory(file, from, size) {
    return once(file + " " + from, () => part(file, from, from + size).then(Explore.packed.unzip).then(entries));
  }

  // A tile as it is stored; null where there is none.
  async function tile(file, z, x, y) {
    const head = await once(file, () => part(file, 0, 127).then((bytes) => new DataView(bytes)));
    const told = (at) => Number(head.getBigUint64(at, true)),
      wanted = number(z, x, y);
    let [from, size] = [told(8), told(16)];
    for (;;) {
      const { numbers, runs, lengths, offsets } = await directory(file, from, size);
      let low = 0,
        high = numbers.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (numbers[middle] <= wanted) low = middle + 1;
        else high = middle;
      }
      const i = low - 1;
      if (i < 0) return null;
      if (runs[i]) {
        if (wanted >= numbers[i] + runs[i]) return null;
        return part(file, told(56) + offsets[i], told(56) + offsets[i] + lengths[i]);
      }
      [from, size] = [told(40) + offsets[i], lengths[i]];
    }
  }

  return { all, stored, tile, trouble };
})();
