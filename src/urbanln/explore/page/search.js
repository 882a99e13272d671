// Search by words: rankings by pictures and by captions, each beside all regions' scores and what other words reach.
Explore.search = (function () {
  "use strict";
  const { state, el, clear, attempt } = Explore;
  const BEST = 3; // of the words themselves, so that the other ways are in sight
  const WAYS = { pictures: "By pictures", captions: "By captions" };
  let body = null,
    drawn = []; // what draws the histograms of the last answer

  // The scores of all regions; marks for the mean of the ten best, of this query and of those it is held against,
  // which are known by how far they stand above the mean.
  function picture(key, values, found) {
    const reach = (heights) => (heights || []).map((height) => found.mean + height);
    const held = [
      ["shuffled", reach(found.null.shuffled), "its words in other orders"],
      ["random", reach(found.null.random), "other words"],
      ["best", [found.mean + found.height], "its ten best"]
    ].map(([style, some, text]) => [style, some, text + (some.length ? ", to " + Math.max(...some).toFixed(3) : "")]);
    const box = el("figure", {});
    const draw = () =>
      clear(box).append(
        ...Explore.histogram.keyed(
          values,
          held.concat(Explore.columns.marks(Explore.columns.entry(key), values)),
          "Scores"
        )
      );
    draw();
    drawn.push(draw);
    return box;
  }

  async function way(answer, name) {
    const found = answer.by[name],
      key = answer.key + ":" + name;
    if (!found) return null;
    const section = el("section", { class: "way" }, [el("h3", { text: WAYS[name] })]);
    const values = await Explore.columns.get(key);
    section.append(
      el("p", {
        class: "verdict" + (found.above ? " yes" : found.above === false ? " no" : ""),
        text: found.sentence
      }),
      picture(key, values, found)
    );
    const list = Explore.results.list(found.rows, found.scores, answer.key);
    section.append(
      el("div", { class: "actions" }, [Explore.button("Colour the map", () => Explore.panes.colour(key))]),
      found.above !== false
        ? list
        : el("details", {}, [el("summary", { text: "Show the best scoring all the same" }), list])
    );
    return section;
  }

  function columns(answer, text) {
    Object.keys(WAYS)
      .filter((name) => answer.by[name])
      .forEach((name) => {
        Explore.columns.add({
          key: answer.key + ":" + name,
          title: "“" + (text.length > 40 ? text.slice(0, 39) + "…" : text) + "” " + WAYS[name].toLowerCase(),
          group: "found",
          unit: "cosine",
          kind: "number",
          low: -1,
          high: 1,
          note: "of all regions",
          least: Explore.columns.least(answer.by[name])
        });
      });
  }

  function words(found, key) {
    if (!found) return null;
    return el("section", { class: "way" }, [
      el("h3", { text: "By the words themselves" }),
      el("p", {
        class: "quiet",
        text: found.rows.length
          ? "Captions of " +
            found.total.toLocaleString("en-US") +
            " regions hold one of the words or more; the best first."
          : "No caption holds these words."
      }),
      found.rows.length ? Explore.results.list(found.rows, found.scores, key, BEST) : null
    ]);
  }

  async function show(text, answer) {
    columns(answer, text);
    drawn = [];
    const ways = await Promise.all(Object.keys(WAYS).map((name) => way(answer, name)));
    const length = answer.tokens
      ? answer.tokens + " tokens of " + answer.positions + (answer.cut ? "; what came after was cut off" : "")
      : "";
    // Where captions hold the words, these are the better guide, as measured (docs/explore.md).
    const said = words(answer.by.words, answer.key),
      first = said && answer.by.words.rows.length;
    clear(body).append(
      el("h2", { text: "“" + text + "”" }),
      length ? el("p", { class: answer.cut ? "hint" : "quiet", text: length }) : "",
      first ? said : "",
      ...ways.filter(Boolean),
      said && !first ? said : ""
    );
    const best = ["pictures", "captions"].find((name) => answer.by[name] && answer.by[name].above);
    if (best) Explore.panes.colour(answer.key + ":" + best);
    Explore.say(
      "Search done. " +
        Object.keys(WAYS)
          .filter((name) => answer.by[name])
          .map((name) => WAYS[name] + ": " + answer.by[name].sentence)
          .join(" ")
    );
  }

  function run(text) {
    const asked = text.trim();
    if (!asked) return Promise.resolve();
    document.getElementById("words").value = asked;
    Explore.panel.show("search");
    return attempt(async () => {
      const [answer] = await Promise.all([Explore.source.text(asked), Explore.named()]);
      state.query = asked;
      await show(asked, answer);
      Explore.emit("view");
    }, body);
  }

  function blank() {
    const { can, why_not: why, queries } = state.content;
    clear(body).append(el("h2", { text: "Search by words" }));
    if (can.text)
      body.append(
        el("p", {
          class: "quiet",
          text: "Describe what you look for, as you would to someone who looks at the pictures: dense low houses with tin roofs."
        })
      );
    else if (!(queries || []).length)
      body.append(el("p", { class: "hint", text: "Search by words: " + ((why || {}).text || "needs a model") + "." }));
    if ((queries || []).length) {
      body.append(
        el("h3", { text: can.text ? "To begin with" : "Prepared queries" }),
        el(
          "ul",
          { class: "queries" },
          queries.map((text) => el("li", {}, [Explore.button(text, () => run(text), { class: "link" })]))
        )
      );
    }
  }

  function start() {
    const { can, queries } = state.content,
      form = document.getElementById("find"),
      input = document.getElementById("words");
    body = Explore.panel.add("search", "Search");
    (queries || []).forEach((text) => document.getElementById("queries").append(el("option", { value: text })));
    form.hidden = !can.text && !(queries || []).length;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      run(input.value);
    });
    Explore.on("row", () => drawn.forEach((draw) => draw()));
    blank();
  }

  return { start, run };
})();
