// One map drawn on a canvas: where WebGL is missing, and for the pictures that are saved.
Explore.stillMap = (function () {
  "use strict";
  const places = Explore.places;

  // A path of one shape in a view; true where it is an area.
  function trace(pen, view, size, shape, radius) {
    if (shape.type === "Point") {
      const [x, y] = places.project(view, size, shape.coordinates);
      pen.moveTo(x + radius, y);
      pen.arc(x, y, radius, 0, 2 * Math.PI);
      return;
    }
    const polygons =
      shape.type === "Polygon" ? [shape.coordinates] : shape.type === "MultiPolygon" ? shape.coordinates : [];
    polygons.forEach((polygon) =>
      polygon.forEach((ring) => {
        ring.forEach((place, i) => {
          const [x, y] = places.project(view, size, place);
          if (i) pen.lineTo(x, y);
          else pen.moveTo(x, y);
        });
        pen.closePath();
      })
    );
  }

  // All regions in their colours: the empty and the faint first, so that they cover nothing.
  function regions(pen, view, size, scale, mask, radius, seen) {
    const rows = places.rows(),
      empty = Explore.colour("empty");
    const layer = (row) => (mask && !mask[row] ? 0 : scale && scale.classes[row] >= 0 ? 2 : 1);
    [0, 1, 2].forEach((turn) => {
      const areas = new Map(),
        dots = [];
      const inked = (row) => (scale && scale.classes[row] >= 0 ? scale.colours[scale.classes[row]] : empty);
      rows.forEach((row) => {
        if (layer(row) !== turn) return;
        if (seen(row).type === "Point") dots.push(row);
        else if (areas.has(inked(row))) areas.get(inked(row)).push(row);
        else areas.set(inked(row), [row]);
      });
      pen.globalAlpha = turn === 0 ? 0.18 : 1;
      areas.forEach((some, colour) => {
        pen.fillStyle = colour;
        pen.beginPath();
        some.forEach((row) => trace(pen, view, size, seen(row), radius));
        pen.fill("evenodd");
      });
      // Dots cover each other: one by one, so that no class lies above the others.
      dots.forEach((row) => {
        pen.fillStyle = inked(row);
        pen.beginPath();
        trace(pen, view, size, seen(row), radius);
        pen.fill();
      });
    });
    pen.globalAlpha = 1;
  }

  // The map as a picture; `tiles` draws the regions where they are too many for their shapes.
  function draw(pen, view, size, scale, mask, chosen, hovered, tiles) {
    const radius = urbanln.dotRadius(size[0], size[1], Math.max(places.rows().length, 1)),
      seen = (row) => places.seen(row, view, 2 * radius);
    pen.fillStyle = Explore.colour("ground-map");
    pen.fillRect(0, 0, size[0], size[1]);
    if (tiles) tiles.draw(pen, view, size);
    else regions(pen, view, size, scale, mask, radius, seen);
    [
      [hovered, 1.6],
      [chosen, 2.8]
    ].forEach(([row, width]) => {
      if (row === null || !places.shape(row)) return;
      pen.beginPath();
      trace(pen, view, size, seen(row), radius + 2);
      pen.strokeStyle = Explore.colour("ground");
      pen.lineWidth = width + 3;
      pen.stroke();
      pen.strokeStyle = Explore.colour("ink");
      pen.lineWidth = width;
      pen.stroke();
    });
  }

  function make(container, bounds, hooks) {
    const canvas = Explore.el("canvas", { tabindex: "0", class: "still" });
    container.append(canvas);
    const size = () => [container.clientWidth, container.clientHeight];
    const painter = Explore.state.content.tiles ? Explore.tiles.painter() : null,
      tiles = painter && Explore.tiles.sheet(painter, later),
      outlines = places.outlines(later);
    let view = places.fit(bounds, size()),
      scale = null,
      mask = null,
      chosen = null,
      hovered = null,
      due = false,
      held = null;

    function later() {
      if (due) return;
      due = true;
      requestAnimationFrame(() => {
        due = false;
        const [wide, high] = size(),
          sharp = devicePixelRatio || 1;
        canvas.width = wide * sharp;
        canvas.height = high * sharp;
        const pen = canvas.getContext("2d");
        pen.scale(sharp, sharp);
        draw(pen, view, [wide, high], scale, mask, chosen, hovered, scale && tiles);
      });
    }

    function recolour() {
      if (painter && scale) painter.set(scale, mask);
      later();
    }

    function move(to, byHand) {
      view = to;
      later();
      hooks.move(byHand);
    }

    function pixel(event) {
      const box = canvas.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    }

    function at(event) {
      const place = places.unproject(view, size(), pixel(event));
      return painter ? painter.at(place, view.zoom, 8) : places.at(place, view.zoom);
    }

    function shift(dx, dy) {
      const [wide, high] = size();
      move({ center: places.unproject(view, size(), [wide / 2 + dx, high / 2 + dy]), zoom: view.zoom }, true);
    }

    function zoomBy(step) {
      move({ center: view.center, zoom: Math.max(0, Math.min(20, view.zoom + step)) }, true);
    }

    canvas.addEventListener("pointerdown", (event) => {
      held = { from: pixel(event), far: false };
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!held) {
        hooks.hover(at(event), event);
        return;
      }
      const [x, y] = pixel(event);
      if (!held.far && Math.hypot(x - held.from[0], y - held.from[1]) < 4) return;
      shift(held.from[0] - x, held.from[1] - y);
      held = { from: [x, y], far: true };
    });
    canvas.addEventListener("pointerup", (event) => {
      if (held && !held.far) hooks.click(at(event));
      held = null;
    });
    canvas.addEventListener("pointerleave", () => {
      held = null;
      hooks.hover(null);
    });
    canvas.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        zoomBy(event.deltaY < 0 ? 0.4 : -0.4);
      },
      { passive: false }
    );
    new ResizeObserver(() => {
      later();
      hooks.resize();
    }).observe(container);

    return {
      view: () => view,
      size: size,
      focusable: canvas,
      paint(next, selected) {
        scale = next;
        mask = selected;
        recolour();
      },
      recolour: recolour,
      mark(row, over) {
        chosen = row;
        hovered = over;
        outlines(row, over);
        later();
      },
      snapshot: painter ? () => tiles.drawn().then(() => createImageBitmap(canvas)) : null,
      jump(to) {
        move(to, false);
      },
      fit(box) {
        move(places.fit(box, size()), false);
      },
      zoomBy: zoomBy,
      project: (place) => places.project(view, size(), place),
      resize: later
    };
  }

  return { make, draw };
})();
