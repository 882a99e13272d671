// The panel's tabs: one shown at a time, moved between by arrow keys as tabs are.
Explore.panel = (function () {
  "use strict";
  const { state, el } = Explore;
  const tabs = new Map();

  function show(name, focus) {
    if (!tabs.has(name)) return;
    const panel = document.getElementById("panel"),
      left = tabs.get(state.tab);
    // Who comes back to a list finds it where it was left; on a phone the whole page scrolls.
    if (left && state.tab !== name) left.at = [panel.scrollTop, window.scrollY];
    const at = state.tab !== name && tabs.get(name).at;
    state.tab = name;
    const led = left && left.body !== tabs.get(name).body && left.body.contains(document.activeElement);
    tabs.forEach((tab, key) => {
      const on = key === name;
      tab.handle.setAttribute("aria-selected", String(on));
      tab.handle.tabIndex = on ? 0 : -1;
      tab.body.hidden = !on;
    });
    if (at) {
      panel.scrollTop = at[0];
      window.scrollTo(0, at[1]);
    }
    if (focus) tabs.get(name).handle.focus();
    else if (led) tabs.get(name).body.focus({ preventScroll: true });
    Explore.emit("tab", name);
  }

  function add(name, title) {
    const body = el("div", {
      role: "tabpanel",
      id: "tab-" + name,
      class: "body",
      "aria-labelledby": "handle-" + name,
      tabindex: "0"
    });
    const handle = el("button", {
      type: "button",
      role: "tab",
      id: "handle-" + name,
      "aria-controls": "tab-" + name,
      text: title,
      onclick: () => show(name)
    });
    handle.addEventListener("keydown", (event) => {
      const names = Array.from(tabs.keys()),
        at = names.indexOf(name);
      const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: names.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      show(names[(to + names.length) % names.length], true);
    });
    tabs.set(name, { handle: handle, body: body });
    document.getElementById("tabs").append(handle);
    document.getElementById("bodies").append(body);
    return body;
  }

  return { add, show };
})();
