// The page's one global object: its state, its events, and how it makes elements (text from data is text only).
var Explore = (function () {
  "use strict";
  const listeners = {};

  // What the page shows. `panes` holds one entry a map: { key, breaks, count }.
  const state = {
    content: null,
    panes: [],
    two: false,
    row: null,
    hovered: null,
    tab: "region",
    query: null,
    similar: null
  };

  function on(event, action) {
    (listeners[event] = listeners[event] || []).push(action);
  }

  function emit(event, detail) {
    (listeners[event] || []).forEach((action) => action(detail));
  }

  // One element: text and attributes as given, never as markup.
  function el(tag, props, children) {
    const node = tag.startsWith("svg:")
      ? document.createElementNS("http://www.w3.org/2000/svg", tag.slice(4))
      : document.createElement(tag);
    Object.entries(props || {}).forEach(([name, value]) => {
      if (value === null || value === undefined || value === false) return;
      if (name === "text") node.textContent = value;
      else if (name === "style") Object.assign(node.style, value);
      else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else node.setAttribute(name, value === true ? "" : value);
    });
    (children || []).forEach((child) => {
      if (child) node.append(child);
    });
    return node;
  }

  function clear(node) {
    node.textContent = "";
    return node;
  }

  function button(text, action, props) {
    return el("button", Object.assign({ type: "button", text: text, onclick: action }, props));
  }

  // A labelled choice; `options` are [value, text] or { group, options }.
  function choice(label, options, value, action, unseen) {
    const select = el("select", { onchange: () => action(select.value) });
    fill(select, options, value);
    return el("label", {}, [el("span", { text: label, class: unseen ? "unseen" : null }), select]);
  }

  function fill(select, options, value) {
    const one = ([key, text]) => el("option", { value: key, text: text });
    clear(select).append(
      ...options.map((option) =>
        Array.isArray(option) ? one(option) : el("optgroup", { label: option.group }, option.options.map(one))
      )
    );
    select.value = value;
  }

  // For a screen reader, once.
  function say(text) {
    document.getElementById("said").textContent = text;
  }

  function fail(error) {
    const box = document.getElementById("trouble");
    clear(box).append(
      el("span", { text: [error.message, error.remedy].filter(Boolean).join(" ") }),
      button("Close", () => {
        box.hidden = true;
      })
    );
    box.hidden = false;
  }

  // Runs a promise-making action; what goes wrong is said at the top, `busy` is told to wait meanwhile.
  function attempt(action, busy) {
    if (busy) busy.setAttribute("aria-busy", "true");
    document.getElementById("trouble").hidden = true;
    return Promise.resolve()
      .then(action)
      .catch(fail)
      .then((value) => {
        if (busy) busy.removeAttribute("aria-busy");
        return value;
      });
  }

  // Ids and names of very many regions come when they are first needed.
  let naming = null;
  function named() {
    if (state.content.ids) return Promise.resolve();
    if (naming) return naming;
    naming = Explore.source.texts().then((found) => {
      Object.assign(state.content, found);
      emit("named");
    });
    naming.catch(() => {
      naming = null;
    });
    return naming;
  }

  function label(row) {
    const { ids, names } = state.content;
    if (ids) return (names && names[row] ? names[row] + " · " : "") + ids[row];
    named().catch(fail);
    return "region " + (row + 1).toLocaleString("en-US");
  }

  function choose(row) {
    if (row !== null && !(row >= 0 && row < state.content.n)) return;
    state.row = row;
    emit("row", row);
  }

  function hover(row) {
    if (row === state.hovered) return;
    state.hovered = row;
    emit("hover", row);
  }

  // A tooltip beside the pointer, at pixels of the window.
  function tip(text, x, y) {
    const box = document.getElementById("tip");
    box.hidden = !text;
    if (!text) return;
    box.textContent = text;
    box.style.left = Math.max(4, Math.min(x + 14, innerWidth - box.offsetWidth - 6)) + "px";
    box.style.top = (y + box.offsetHeight + 22 > innerHeight ? y - box.offsetHeight - 8 : y + 14) + "px";
  }

  // Once, for whoever measures the page: when its first map stood in colour (User Timing).
  function drawn() {
    if (!performance.getEntriesByName("map drawn").length) performance.mark("map drawn");
  }

  const dark = matchMedia("(prefers-color-scheme: dark)");

  // A colour of the style sheet, for what is drawn by script.
  function colour(name) {
    return getComputedStyle(document.documentElement)
      .getPropertyValue("--" + name)
      .trim();
  }

  function bytes(base64) {
    const text = atob(base64),
      found = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) found[i] = text.charCodeAt(i);
    return found;
  }

  // A colour as a number of four bytes, as pixels have it.
  function ink(hex, alpha) {
    const code = parseInt(hex.slice(1), 16);
    return ((alpha << 24) | ((code & 255) << 16) | (code & 0xff00) | (code >> 16)) >>> 0;
  }

  function floats(base64) {
    return new Float32Array(bytes(base64).buffer);
  }

  // Kilometres between two places, on a sphere.
  function distance(a, b) {
    const rad = Math.PI / 180,
      dy = (b[1] - a[1]) * rad,
      dx = (b[0] - a[0]) * rad;
    const h = Math.sin(dy / 2) ** 2 + Math.cos(a[1] * rad) * Math.cos(b[1] * rad) * Math.sin(dx / 2) ** 2;
    return 12742 * Math.asin(Math.min(1, Math.sqrt(h)));
  }

  return {
    state,
    on,
    emit,
    el,
    clear,
    button,
    choice,
    fill,
    say,
    fail,
    attempt,
    named,
    label,
    choose,
    hover,
    tip,
    drawn,
    dark,
    colour,
    ink,
    bytes,
    floats,
    distance
  };
})();
