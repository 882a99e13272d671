// Tiles that tell which region each pixel is of (tiling.py). Their colours are made here: another column, other breaks,
// a selection and what lies under the pointer ask nobody.
Explore.tiles = (function () {
  "use strict";
  const { places, colour } = Explore;
  const SIDE = 512,
    KEPT = 48, // tiles, 1 MB each; as many more a map at most, where regions share pixels
    FAINT = 46,
    LINES = 12; // pixels across from which on regions have an outline
  const held = new Map();

  // A map of the last ones used.
  function keep(map, key, value) {
    map.delete(key);
    map.set(key, value);
    if (map.size > KEPT) map.delete(map.keys().next().value);
    return value;
  }

  // The lowest bytes of all pixels come first, then the next ones.
  function joined(buffer) {
    const bytes = new Uint8Array(buffer),
      n = SIDE * SIDE,
      found = new Uint32Array(n);
    for (let i = 0; i < n; i++) {
      const high = bytes[i + n] | (bytes[i + 2 * n] << 8) | (bytes[i + 3 * n] << 16);
      found[i] = bytes[i] | (high << 8);
    }
    return found;
  }

  // Row + 1 of each pixel's region, 0 where there is none.
  function ids(z, x, y) {
    const key = z + "/" + x + "/" + y;
    if (held.has(key)) return keep(held, key, held.get(key));
    const asked = Explore.source
      .tile(z, x, y)
      .then((found) => (found ? Explore.packed.unzip(found).then(joined) : new Uint32Array(SIDE * SIDE)));
    asked.catch(() => held.delete(key));
    return keep(held, key, asked);
  }

  // The tiles' zoom that a map draws at a zoom of its own; MapLibre rounds as well.
  function level(zoom) {
    return Math.max(0, Math.min(Explore.state.content.tiles.most, Math.round(zoom)));
  }

  // One map's tiles: `scale` and `mask` as maps have them.
  function painter() {
    const shown = new Map();
    let scale = null,
      mask = null,
      inks = null,
      top = null,
      tops = null,
      side = 2,
      turn = 0;

    // Colours as numbers: of the classes, of no value; then the same faintly, then of lines between regions.
    function mix() {
      const own = scale.colours.concat(colour("empty")),
        lines = own.map((hex) => Explore.columns.mix(hex, colour("ground-map"), 0.5));
      inks = Uint32Array.from(
        [own, lines].flatMap((some) => [255, FAINT].flatMap((alpha) => some.map((hex) => Explore.ink(hex, alpha))))
      );
    }

    // Regions that are selected and have a value lie on those that are not or have none.
    function rank() {
      const n = scale.classes.length;
      top = new Uint8Array(n);
      let count = 0;
      for (let row = 0; row < n; row++) if (scale.classes[row] >= 0 && (!mask || mask[row])) count += top[row] = 1;
      tops = new Uint32Array(count < n ? count : 0);
      for (let row = 0, i = 0; i < tops.length; row++) if (top[row]) tops[i++] = row;
      // The fewer they are the larger are their dots.
      side = Math.max(2, Math.min(12, Math.round(360 / Math.sqrt(Math.max(count, 1)))));
    }

    function set(next, selected) {
      scale = next;
      mask = selected;
      turn++;
      shown.clear();
      mix();
      rank();
    }

    // Dots of the regions on top, over pixels of others: several regions may share a pixel, or one be too small to see.
    function dotted(base, z, x, y) {
      const { most, crowded, typical } = Explore.state.content.tiles,
        across = typical / 2 ** (most - z);
      if (!tops.length || (z > crowded && across >= side)) return base;
      const found = base.slice(),
        world = SIDE * 2 ** z,
        [xs, ys] = places.world();
      for (let i = 0; i < tops.length; i++) {
        const row = tops[i],
          left = Math.floor(xs[row] * world - x * SIDE - side / 2),
          up = Math.floor(ys[row] * world - y * SIDE - side / 2);
        if (left <= -side || up <= -side || left >= SIDE || up >= SIDE) continue;
        for (let py = Math.max(0, up); py < Math.min(SIDE, up + side); py++)
          for (let px = Math.max(0, left); px < Math.min(SIDE, left + side); px++) {
            const at = py * SIDE + px,
              other = found[at];
            if (!other || !top[other - 1]) found[at] = row + 1;
          }
      }
      return found;
    }

    function coloured(drawn, z) {
      const { most, typical } = Explore.state.content.tiles,
        pixels = new Uint32Array(SIDE * SIDE),
        step = scale.colours.length + 1,
        lined = typical / 2 ** (most - z) >= LINES;
      for (let i = 0; i < drawn.length; i++) {
        const id = drawn[i];
        if (!id) continue;
        const c = scale.classes[id - 1],
          faint = mask && !mask[id - 1] ? step : 0;
        let at = (c < 0 ? step - 1 : c) + faint;
        if (lined) {
          const right = (i + 1) % SIDE ? drawn[i + 1] : id,
            below = i + SIDE < drawn.length ? drawn[i + SIDE] : id;
          if ((right && right !== id) || (below && below !== id)) at += 2 * step;
        }
        pixels[i] = inks[at];
      }
      return new ImageData(new Uint8ClampedArray(pixels.buffer), SIDE, SIDE);
    }

    async function image(z, x, y) {
      const mine = turn,
        base = await ids(z, x, y);
      const drawn = dotted(base, z, x, y);
      if (mine === turn) keep(shown, z + "/" + x + "/" + y, drawn);
      return createImageBitmap(coloured(drawn, z));
    }

    // The region drawn at a place, else the nearest within some pixels of the map; null where there is none, or no tile.
    function at(place, zoom, reach) {
      const z = level(zoom),
        [x, y] = places.onWorld(place).map((one) => one * 2 ** z),
        drawn = shown.get(z + "/" + Math.floor(x) + "/" + Math.floor(y));
      if (!drawn) return null;
      const px = Math.floor((x % 1) * SIDE),
        py = Math.floor((y % 1) * SIDE),
        wide = Math.ceil(reach / 2 ** (zoom - z));
      let best = drawn[py * SIDE + px],
        least = best ? 0 : Infinity;
      for (let dy = -wide; dy <= wide && least; dy++)
        for (let dx = -wide; dx <= wide; dx++) {
          const far = dx * dx + dy * dy,
            inside = px + dx >= 0 && px + dx < SIDE && py + dy >= 0 && py + dy < SIDE;
          if (!inside || far >= least || far > wide * wide) continue;
          const id = drawn[(py + dy) * SIDE + px + dx];
          if (id) [best, least] = [id, far];
        }
      return best ? best - 1 : null;
    }

    return { set, image, at, turn: () => turn };
  }

  // Draws a painter's tiles on a canvas, those that are there; calls `later` when others have come, until all are drawn.
  function sheet(painter, later) {
    const pictures = new Map(),
      waiting = new Set(),
      frame = () => new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)));

    async function drawn() {
      do {
        await Promise.all(waiting);
        await frame();
      } while (waiting.size);
    }

    function draw(pen, view, size) {
      const z = level(view.zoom),
        wide = SIDE * 2 ** (view.zoom - z),
        [left, up] = places.onWorld(view.center).map((one, i) => one * wide * 2 ** z - size[i] / 2);
      pen.imageSmoothingEnabled = false;
      for (let y = Math.max(0, Math.floor(up / wide)); y * wide < up + size[1] && y < 2 ** z; y++)
        for (let x = Math.max(0, Math.floor(left / wide)); x * wide < left + size[0] && x < 2 ** z; x++) {
          const key = [painter.turn(), z, x, y].join("/"),
            picture = pictures.get(key);
          if (picture === undefined) {
            keep(pictures, key, null);
            const asked = painter.image(z, x, y).then((made) => {
              keep(pictures, key, made);
              later();
            }, Explore.fail);
            waiting.add(asked);
            asked.then(() => waiting.delete(asked));
          } else if (picture) pen.drawImage(picture, x * wide - left, y * wide - up, wide, wide);
        }
    }

    return { draw, drawn };
  }

  return { painter, sheet, level, SIDE };
})();
