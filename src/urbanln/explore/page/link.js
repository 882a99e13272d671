// The view as the address's hash, written as it changes and read at the start and when the reader goes back.
Explore.link = (function () {
  "use strict";
  const { state } = Explore;
  let reading = true, // until the link that was opened is followed nothing is written over it
    due = null,
    written = "";

  function now() {
    const view = Explore.panes.view(),
      saved = { panes: state.panes.map((pane) => [pane.key, pane.breaks, pane.count]) };
    if (state.two) saved.two = 1;
    if (Explore.panes.touched())
      saved.view = [Number(view.center[0].toFixed(5)), Number(view.center[1].toFixed(5)), Number(view.zoom.toFixed(2))];
    if (state.row !== null && state.content.ids) saved.region = state.content.ids[state.row];
    if (state.query) saved.query = state.query;
    if (state.similar && state.similar.rows.length <= 50) saved.similar = state.similar;
    const ground = Explore.basemap.written();
    if (ground) saved.ground = ground;
    if (state.tab !== "region") saved.tab = state.tab;
    const parts = Explore.selection.written();
    if (parts.length) saved.selection = parts;
    return (
      "#" +
      encodeURIComponent(JSON.stringify(saved))
        .replace(/%(22|2C|3A|5B|5D|7B|7D)/g, (sign) => decodeURIComponent(sign))
        .replace(/"/g, "'")
    );
  }

  function later() {
    if (reading) return;
    clearTimeout(due);
    due = setTimeout(() => {
      written = now();
      try {
        history.replaceState(null, "", written);
      } catch (error) {
        /* a browser may forbid it for files */
      }
    }, 300);
  }

  function saved() {
    try {
      return Object(JSON.parse(decodeURIComponent(location.hash.slice(1).replace(/'/g, "%22")) || "{}"));
    } catch (error) {
      return {};
    }
  }

  function pane(one, usual) {
    const column = Array.isArray(one) ? Explore.columns.entry(one[0]) : null;
    if (!column) return usual;
    const kinds = Explore.columns.breakOptions(column).map(([key]) => key),
      count = Number(one[2]);
    return {
      key: one[0],
      breaks: kinds.includes(one[1]) ? one[1] : Explore.columns.usual(column),
      count: count >= 3 && count <= 9 ? count : 7
    };
  }

  // Choices for the panes, before anything is drawn.
  function panes(usual) {
    const found = saved().panes;
    return usual.map((one, i) => (Array.isArray(found) ? pane(found[i], one) : one));
  }

  // The rest, when the maps stand. Queries are asked again, so their columns exist before they colour a map.
  async function restore() {
    const found = saved();
    const [lon, lat, zoom] = Array.isArray(found.view) ? found.view : [];
    if ([lon, lat, zoom].every(Number.isFinite) && Math.abs(lat) <= 90) Explore.panes.jump({ center: [lon, lat], zoom: zoom });
    Explore.basemap.read(found.ground);
    if (found.two) Explore.panes.two(true);
    if (found.query && state.content.can.text !== undefined) await Explore.search.run(String(found.query));
    if (found.similar && Array.isArray(found.similar.rows)) await Explore.similar.restore(found.similar);
    if (Array.isArray(found.selection)) await Explore.selection.read(found.selection.filter(Array.isArray));
    if (found.region) {
      await Explore.named();
      const row = state.content.ids.indexOf(String(found.region));
      if (row >= 0) Explore.choose(row);
    }
    if (Array.isArray(found.panes)) {
      found.panes.slice(0, 2).forEach((one, i) => {
        if (
          Explore.panes.all()[i] &&
          Array.isArray(one) &&
          Explore.columns.entry(one[0]) &&
          state.panes[i].key !== one[0]
        )
          Explore.panes.colour(one[0], i);
      });
    }
    if (found.tab || found.region || found.query) Explore.panel.show(found.tab || "region");
    reading = false;
  }

  function copy() {
    const address = location.href.split("#")[0] + now();
    const told = () => Explore.say("The link is copied");
    const shown = () => window.prompt("The link of this view", address);
    if (navigator.clipboard && isSecureContext) navigator.clipboard.writeText(address).then(told, shown);
    else shown();
    later();
  }

  function start() {
    ["view", "selection", "row", "named", "shown", "tab", "ground"].forEach((event) => Explore.on(event, later));
    window.addEventListener("hashchange", () => {
      if (location.hash !== written) location.reload();
    });
  }

  return { start, restore, copy, panes };
})();
