// Drawing a selection with the pointer, over the maps and over scatters; the keyboard has ranges, lists and "in view".
Explore.lasso = (function () {
  "use strict";
  const { el } = Explore;
  let drawing = false;

  // `place(row)` gives pixels inside `box`, or null; a drawn part is named `name`. With `pick`, drawing is always on
  // there, and a click is `pick`'s; one that picks nothing takes back what was drawn, as an empty line does.
  function over(box, place, name, pick) {
    const line = el("svg:path", { class: "lasso-line" }),
      sheet = el("svg:svg", { class: pick ? "lasso on" : "lasso", "aria-hidden": "true" }, [line]);
    let path = null;
    const at = (event) => {
      const area = sheet.getBoundingClientRect();
      return [event.clientX - area.left, event.clientY - area.top];
    };
    const show = () =>
      line.setAttribute(
        "d",
        path && path.length > 1 ? "M" + path.map((p) => p.map(Math.round).join(" ")).join("L") + "Z" : ""
      );
    sheet.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      sheet.setPointerCapture(event.pointerId);
      path = [at(event)];
      event.preventDefault();
    });
    sheet.addEventListener("pointermove", (event) => {
      if (!path) return;
      const next = at(event),
        last = path[path.length - 1];
      if (Math.hypot(next[0] - last[0], next[1] - last[1]) > 3) path.push(next);
      show();
    });
    const end = (event) => {
      if (!path) return;
      const drawn = path;
      path = null;
      show();
      if (event.type === "pointercancel") return;
      if (drawn.length > 3) take(drawn, place, name);
      else if (!pick || !pick(event)) Explore.selection.drop(name);
      if (!pick) toggle(false);
    };
    sheet.addEventListener("pointerup", end);
    sheet.addEventListener("pointercancel", end);
    box.append(sheet);
    return sheet;
  }

  function take(ring, place, name) {
    const rows = [];
    for (let row = 0; row < Explore.state.content.n; row++) {
      const at = place(row);
      if (at && Explore.places.inside([ring], at)) rows.push(row);
    }
    Explore.selection.pick(name, rows);
  }

  function toggle(on) {
    drawing = on === undefined ? !drawing : on;
    document.querySelectorAll(".map-box .lasso").forEach((sheet) => sheet.classList.toggle("on", drawing));
    document.querySelectorAll(".draw").forEach((node) => node.setAttribute("aria-pressed", String(drawing)));
    if (drawing) Explore.say("Draw around regions with the pointer. Escape ends drawing.");
  }

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && drawing) toggle(false);
  });

  return { over, toggle, take };
})();
