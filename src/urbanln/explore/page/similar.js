// Regions that look alike: like one, like the mean of the selection, like a picture of the reader's own.
Explore.similar = (function () {
  "use strict";
  const { state, el, clear, button, attempt } = Explore;
  const MOST = 100;
  let body = null,
    answer = null,
    far = null,
    last = null,
    redraw = null;

  function km() {
    const value = Number(far.value);
    return value >= 0 && Number.isFinite(value) ? value : 0;
  }

  // All regions by their likeness; marks for the chosen one and for where those found begin.
  async function spread(key) {
    const values = await Explore.columns.get(key),
      column = Explore.columns.entry(key),
      box = el("figure", {});
    const draw = () =>
      clear(box).append(...Explore.histogram.keyed(values, Explore.columns.marks(column, values), "Likeness"));
    draw();
    redraw = draw;
    return box;
  }

  async function show(title, found) {
    const facts = [
      found.rows.length + " regions, most alike first",
      km() > 0 && found.left_out
        ? "without " + found.left_out.toLocaleString("en-US") + " nearer than " + km() + " km"
        : null
    ].filter(Boolean);
    const key = found.key + ":pictures";
    Explore.columns.add({
      key: key,
      title: title,
      group: "found",
      unit: "cosine",
      kind: "number",
      low: -1,
      high: 1,
      note: "likeness of all regions",
      least: Explore.columns.least(found)
    });
    const all = await spread(key);
    Explore.panes.colour(key);
    clear(answer).append(
      el("h3", { text: title }),
      el("p", { class: "quiet", text: facts.join(" · ") }),
      all,
      el("div", { class: "actions" }, [button("Select these", () => Explore.selection.pick("list", found.rows))]),
      Explore.results.list(found.rows, found.scores)
    );
    Explore.say(title + ": " + found.rows.length + " regions");
  }

  function of(rows, title) {
    Explore.panel.show("similar");
    if (!rows.length)
      return Promise.resolve(
        Explore.fail({ message: "No region is selected.", remedy: "Draw, list or filter first." })
      );
    last = { rows: rows, title: title };
    return attempt(async () => {
      const [found] = await Promise.all([Explore.source.similar(rows, km(), MOST), Explore.named()]);
      state.similar = { rows: rows, far: km() };
      await show(
        title ||
          (rows.length === 1
            ? "Like " + Explore.label(rows[0])
            : "Like the mean of " + rows.length.toLocaleString("en-US") + " regions"),
        found
      );
      Explore.emit("view");
    }, body);
  }

  function upload(file) {
    if (!file) return;
    if (file.size > 16e6) {
      Explore.fail({ message: "The picture is larger than 16 MB.", remedy: "Make it smaller first." });
      return;
    }
    attempt(async () => {
      const [found] = await Promise.all([Explore.source.upload(file), Explore.named()]);
      await show("Like your picture", found);
    }, body);
  }

  function restore(saved) {
    far.value = saved.far || 0;
    return of(saved.rows);
  }

  function start() {
    const { can, why_not: why } = state.content;
    body = Explore.panel.add("similar", "Similar");
    far = el("input", {
      type: "number",
      min: "0",
      max: "1000",
      step: "0.1",
      value: "0",
      id: "far-km",
      onchange: () => {
        if (last) of(last.rows, last.title);
      }
    });
    answer = el("div", { class: "answer" });
    body.append(el("h2", { text: "What looks alike" }));
    if (can.similar) {
      const one = button("Like the chosen region", () => of([state.row]), { disabled: true, class: "main" });
      const mean = button("Like the selection’s mean", () => of(Explore.selection.rows()), { disabled: true });
      Explore.on("row", (row) => {
        one.disabled = row === null;
        if (redraw) redraw();
      });
      Explore.on("selection", () => {
        mean.disabled = !Explore.selection.count();
      });
      body.append(
        el("div", { class: "actions" }, [one, mean]),
        el("p", { class: "row" }, [el("label", { for: "far-km", text: "Leave out what is nearer than" }), far, " km"])
      );
    } else {
      body.append(el("p", { class: "hint", text: "What looks alike: " + ((why || {}).similar || "needs vectors of the regions") + "." }));
    }
    if (can.upload) {
      const input = el("input", {
        type: "file",
        accept: "image/*",
        id: "own-picture",
        onchange: () => {
          upload(input.files[0]);
          input.value = "";
        }
      });
      body.append(
        el("p", { class: "row" }, [el("label", { for: "own-picture", text: "Like a picture of yours" }), input])
      );
    } else {
      body.append(el("p", { class: "hint", text: "Like a picture of yours: " + ((why || {}).upload || "needs a model") + "." }));
    }
    body.append(answer);
  }

  return { start, of, restore };
})();
