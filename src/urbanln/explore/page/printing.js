// On paper: what was dark on the screen would be pale there, and a canvas of WebGL empty. While the page is printed its
// colours are the light ones, and a picture stands in the place of each map.
Explore.printing = (function () {
  "use strict";
  const { el } = Explore;
  const SHARP = 2; // pixels of the picture for one of the screen
  const root = document.documentElement;
  let pictures = [];

  function picture(pane) {
    const size = pane.map.size(),
      canvas = el("canvas", { class: "on-paper", width: size[0] * SHARP, height: size[1] * SHARP }),
      pen = canvas.getContext("2d");
    pen.scale(SHARP, SHARP);
    if (pane.map.library) {
      pane.map.library.redraw(); // at once: what was drawn before is gone when a picture is taken of it
      pen.drawImage(pane.map.library.getCanvas(), 0, 0, ...size);
    } else if (Explore.state.content.tiles) pen.drawImage(pane.map.focusable, 0, 0, ...size);
    else
      Explore.stillMap.draw(pen, pane.map.view(), size, pane.scale, Explore.selection.mask(), Explore.state.row, null);
    Explore.names.draw(pen, pane.map.view(), size, pane.found);
    return canvas;
  }

  function recolour() {
    Explore.dark.dispatchEvent(new Event("change"));
  }

  function before() {
    root.setAttribute("data-paper", "");
    recolour();
    Explore.panes
      .all()
      .filter((pane) => pane.scale)
      .forEach((pane) => {
        const one = picture(pane);
        pictures.push(one);
        pane.box.append(one);
      });
  }

  function after() {
    pictures.forEach((one) => one.remove());
    pictures = [];
    root.removeAttribute("data-paper");
    recolour();
  }

  function start() {
    window.addEventListener("beforeprint", before);
    window.addEventListener("afterprint", after);
  }

  return { start };
})();
