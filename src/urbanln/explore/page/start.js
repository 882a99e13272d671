// Asks for the content, builds the page, restores what the link says.
(function () {
  "use strict";
  const { state } = Explore;

  function firstPanes(columns) {
    const by = (group) => columns.find((column) => column.group === group && column.missing < state.content.n);
    const first = by("label") || by("prediction") || columns[0];
    const second =
      (first &&
        columns.find((column) => column.of && "label:" + column.of === first.key && column.group === "prediction")) ||
      columns.find((column) => column !== first) ||
      first;
    return [first, second].map((column) => ({ key: column.key, breaks: Explore.columns.usual(column), count: 7 }));
  }

  function cities() {
    const all = state.content.cities,
      select = document.getElementById("city");
    Explore.fill(select, (all.length > 1 ? [["", "All cities"]] : []).concat(all.map((city, i) => [i, city.name])), 0);
    document.getElementById("city-label").hidden = all.length < 2;
    select.addEventListener("change", Explore.panes.fit);
  }

  function tools() {
    document.getElementById("two").addEventListener("change", (event) => Explore.panes.two(event.target.checked));
    document.getElementById("copy-link").addEventListener("click", Explore.link.copy);
    document.getElementById("picture").addEventListener("click", () => Explore.attempt(Explore.take.picture));
    document.addEventListener("keydown", (event) => {
      const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName);
      if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
        event.preventDefault();
        document.getElementById("words").focus();
      }
    });
  }

  async function start() {
    const data = window.URBANLN_DATA;
    Explore.source = data ? (data.wide ? Explore.wide : Explore.exported) : Explore.served;
    const [content, placed] = await Promise.all([Explore.source.content(), Explore.source.places()]);
    state.content = Object.assign(content, placed);
    Explore.places.prepare(content);
    document.getElementById("title").textContent = content.title;
    document.getElementById("title").title = content.title;
    cities();
    if (!content.columns.length) {
      content.columns.push({
        key: "none",
        title: "nothing known",
        group: "coverage",
        unit: "",
        kind: "number",
        low: 0,
        high: 1
      });
      Explore.columns.add(content.columns.pop(), new Float32Array(content.n).fill(NaN));
    }
    state.panes = Explore.link.panes(firstPanes(Explore.columns.all()));
    ["region", "similar", "search", "select", "about"].forEach((name) => Explore[name].start());
    Explore.panel.show("region");
    tools();
    const drawn = Explore.panes.start();
    Explore.link.start();
    Explore.printing.start();
    await drawn;
    await Explore.link.restore();
    document.documentElement.setAttribute("data-ready", "");
  }

  Explore.attempt(start);
})();
