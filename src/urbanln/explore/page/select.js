// The selection: filters over histograms that filter each other, a scatter, the layout, a list; and what is taken away.
Explore.select = (function () {
  "use strict";
  const { state, el, clear, button, choice, attempt } = Explore;
  const PARTS = {
    map: "drawn on the map",
    layout: "drawn on the layout",
    scatter: "drawn on the scatter",
    list: "listed"
  };
  const filters = new Map();
  let head = null,
    parts = null,
    filterBox = null,
    list = null;

  // A value of a slider's 200 steps, exactly the ends at the ends.
  function stepped(at, axis) {
    return at <= 0 ? axis.low : at >= 200 ? axis.high : axis.value(at / 200);
  }

  function slider(filter, title, end) {
    const input = el("input", {
      type: "range",
      min: "0",
      max: "200",
      step: "1",
      value: end ? "200" : "0",
      class: end ? "upper" : "lower",
      "aria-label": title + (end ? ", at most" : ", at least")
    });
    input.addEventListener("input", () => {
      const at = [Number(filter.lower.value), Number(filter.upper.value)];
      if (at[0] > at[1]) {
        input.value = at[end ? 0 : 1];
        at[end] = at[1 - end];
      }
      const from = stepped(at[0], filter.axis),
        to = stepped(at[1], filter.axis);
      if (at[0] === 0 && at[1] === 200) Explore.selection.drop("range " + filter.key);
      else Explore.selection.range(filter.key, from, to);
    });
    return input;
  }

  async function addFilter(key) {
    if (filters.has(key) || !Explore.columns.entry(key)) return;
    const column = Explore.columns.entry(key),
      title = column.title,
      filter = { key: key, column: column };
    filters.set(key, filter);
    filter.values = await Explore.columns.get(key);
    filter.axis = Explore.histogram.axis(filter.values);
    filter.chart = el("div", { class: "chart" });
    filter.text = el("span", { class: "quiet" });
    filter.lower = slider(filter, title, 0);
    filter.upper = slider(filter, title, 1);
    filter.node = el("div", { class: "filter", role: "group", "aria-label": "Filter by " + title }, [
      el("div", { class: "line" }, [
        el("b", { text: title }),
        filter.text,
        button(
          "×",
          () => {
            filters.delete(key);
            filter.node.remove();
            Explore.selection.drop("range " + key);
          },
          { class: "small", "aria-label": "Remove the filter by " + title }
        )
      ]),
      el("div", { class: "slid" }, [filter.chart, filter.lower, filter.upper])
    ]);
    filterBox.append(filter.node);
    await refresh(filter);
  }

  async function refresh(filter) {
    if (!filter.node) return;
    const part = Explore.selection.part("range " + filter.key),
      mask = await Explore.selection.masked("range " + filter.key);
    const { low, high, log } = filter.axis,
      from = part ? part.low : low,
      to = part ? part.high : high;
    const step = (value) => Math.round(200 * filter.axis.at(Math.max(low, Math.min(high, value))));
    filter.lower.value = step(from);
    filter.upper.value = step(to);
    const text = (value) =>
      Explore.columns.format(filter.column, filter.column.kind === "class" ? Math.round(value) : value);
    [
      [filter.lower, from],
      [filter.upper, to]
    ].forEach(([input, value]) => input.setAttribute("aria-valuetext", text(value)));
    filter.text.textContent =
      text(Math.max(from, low)) + " to " + text(Math.min(to, high)) + " " + Explore.columns.unit(filter.column) + (log ? ", log scale" : "");
    clear(filter.chart).append(
      Explore.histogram.draw(filter.values, {
        axis: filter.axis,
        mask: mask,
        from: Math.max(from, low),
        to: Math.min(to, high),
        label: "Distribution of " + filter.column.title
      })
    );
  }

  function selected() {
    const count = Explore.selection.count(),
      names = Explore.selection.names();
    head.textContent = names.length
      ? count.toLocaleString("en-US") + " of " + state.content.n.toLocaleString("en-US") + " regions selected"
      : "Nothing selected";
    clear(parts).append(
      ...names.map((name) => {
        const column = name.startsWith("range ") ? Explore.columns.entry(name.slice(6)) : null,
          part = Explore.selection.part(name);
        const text = column
          ? column.title +
            " " +
            Explore.columns.format(column, part.low) +
            (column.kind === "class" && part.low === part.high
              ? ""
              : " to " + Explore.columns.format(column, part.high))
          : PARTS[name] || name;
        return el("li", {}, [
          el("span", { text: text }),
          button("×", () => Explore.selection.drop(name), { class: "small", "aria-label": "Drop: " + text })
        ]);
      })
    );
    const rows = Explore.selection.rows();
    clear(list).append(
      ...(rows.length
        ? [
            el("details", { ontoggle: (event) => attempt(() => listed(event.target.querySelector("ol"), rows)) }, [
              el("summary", { text: "List of the selected" }),
              el("ol", { class: "plain" }),
              rows.length > 50
                ? el("p", {
                    class: "quiet",
                    text: (rows.length - 50).toLocaleString("en-US") + " more are taken away with them."
                  })
                : null
            ])
          ]
        : [])
    );
    if (names.length) Explore.say(head.textContent);
  }

  async function listed(box, rows) {
    await Explore.named();
    clear(box).append(...rows.slice(0, 50).map((row) => el("li", {}, [Explore.results.link(row)])));
  }

  async function byIds(text) {
    await Explore.named();
    const asked = text.split(/[\s,;]+/).filter(Boolean),
      at = new Map(state.content.ids.map((id, row) => [id, row]));
    const rows = asked.filter((id) => at.has(id)).map((id) => at.get(id)),
      lost = asked.filter((id) => !at.has(id));
    Explore.selection.pick("list", rows);
    if (lost.length)
      Explore.fail({
        message: lost.length + " ids are of no region here, the first “" + lost[0].slice(0, 60) + "”.",
        remedy: "The others are selected."
      });
  }

  function inView() {
    const pane = Explore.panes.all()[0],
      [wide, high] = pane.map.size(),
      rows = [];
    for (let row = 0; row < state.content.n; row++) {
      const [x, y] = pane.map.project(Explore.places.of(row));
      if (x >= 0 && y >= 0 && x <= wide && y <= high) rows.push(row);
    }
    Explore.selection.pick("map", rows);
  }

  function lists() {
    const text = el("textarea", { rows: "3", id: "ids", spellcheck: "false" });
    return el("details", {}, [
      el("summary", { text: "By a list of ids" }),
      el("label", { for: "ids", class: "quiet", text: "Ids, one a line or with commas between" }),
      text,
      button("Select these", () => attempt(() => byIds(text.value)))
    ]);
  }

  function adder(box) {
    const numbers = (column) => column.kind !== "class" || (column.classes || []).length !== 1;
    clear(box).append(
      choice("Add a filter", [["", "Choose a column"]].concat(Explore.columns.options(numbers)), "", (key) => {
        if (key) attempt(() => addFilter(key));
        adder(box);
      })
    );
  }

  function scatters(body) {
    const columns = Explore.columns.all(),
      pick = (i) => (columns[Math.min(i, columns.length - 1)] || {}).key;
    const chosen = [pick(0), pick(1)],
      axes = el("div", { class: "axes quiet", "aria-hidden": "true" }),
      plot = Explore.scatter.make("scatter", 240, axes);
    const draw = () => attempt(() => plot.show(...chosen));
    const boxes = el("div", { class: "row" });
    const choosers = () =>
      clear(boxes).append(
        choice("Across", Explore.columns.options(), chosen[0], (key) => {
          chosen[0] = key;
          draw();
        }),
        choice("Up", Explore.columns.options(), chosen[1], (key) => {
          chosen[1] = key;
          draw();
        })
      );
    choosers();
    Explore.on("columns", choosers);
    if (state.content.layout) {
      const layout = Explore.scatter.make("layout", 280);
      body.append(
        el("h3", { text: "Layout of the vectors" }),
        el("p", {
          class: "quiet",
          text: "What looks alike lies close. Draw around dots to see them on the map; what is drawn on the map is seen here."
        }),
        layout.node
      );
      attempt(() => layout.show("layout:x", "layout:y"));
    }
    if (columns.length > 1) {
      body.append(el("h3", { text: "Two columns" }), boxes, plot.node, axes);
      draw();
    }
  }

  function start() {
    const body = Explore.panel.add("select", "Select"),
      add = el("div", {});
    head = el("h2", { text: "Nothing selected" });
    parts = el("ul", { class: "parts" });
    filterBox = el("div", { class: "filters" });
    list = el("div", {});
    body.append(
      head,
      parts,
      el("div", { class: "actions" }, [
        button("Draw on the map", () => Explore.lasso.toggle(true)),
        button("What is in view", inView),
        button("Clear", () => Explore.selection.empty())
      ]),
      Explore.take.box(),
      list,
      lists(),
      el("h3", { text: "Filters" }),
      filterBox,
      add
    );
    adder(add);
    // What is drawn here reads whole columns: not before it is looked at.
    let begun = false;
    Explore.on("tab", (name) => {
      if (name !== "select" || begun) return;
      begun = true;
      scatters(body);
      const first = state.content.columns.find((column) => column.group === "label") || state.content.columns[0];
      if (first) attempt(() => addFilter(first.key));
    });
    Explore.on("columns", () => adder(add));
    Explore.on("selection", () => {
      selected();
      Explore.selection
        .names()
        .filter((name) => name.startsWith("range "))
        .forEach((name) => attempt(() => addFilter(name.slice(6))));
      filters.forEach((filter) => {
        refresh(filter);
      });
    });
  }

  return { start };
})();
