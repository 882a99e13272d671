// Search by words: rankings by pictures and by captions, each beside all regions' scores and what other words reach.
Explore.search = (function () {
  "use strict";
  const { state, el, clear, attempt } = Explore;
  const WAYS = { pictures: "By pictures", captions: "By captions" };
  let body = null;

  // The scores of all regions as a histogram; marks for the mean of the ten best, of this query and of those it is
  // held against, which are known by how far they stand above the mean.
  function picture(values, found) {
    const reach = (heights) => (heights || []).map((height) => found.mean + height);
    const marks = [
      ["shuffled", reach(found.null.shuffled)],
      ["random", reach(found.null.random)],
      ["best", [found.mean + found.height]]
    ];
    const most = (some) => Math.max(...some).toFixed(3);
    return el("figure", {}, [
      Explore.histogram.draw(values, {
        marks: marks,
        height: 64,
        label:
          "Scores of all regions: mean " +
          found.mean.toFixed(3) +
          ", mean of the ten best " +
          most(marks[2][1]) +
          (marks[0][1].length ? "; of the same words in other orders up to " + most(marks[0][1]) : "") +
          (marks[1][1].length ? "; of other words up to " + most(marks[1][1]) : "")
      }),
      el("figcaption", { class: "key quiet" }, [
        el("span", {}, [el("i", { class: "bar-mark" }), "all regions"]),
        el("span", {}, [el("i", { class: "tick best" }), "its ten best"]),
        marks[0][1].length ? el("span", {}, [el("i", { class: "tick shuffled" }), "its words in other orders"]) : null,
        marks[1][1].length ? el("span", {}, [el("i", { class: "tick random" }), "other words"]) : null
      ])
    ]);
  }

  async function way(answer, name) {
    const found = answer.by[name],
      key = answer.key + ":" + name;
    if (!found) return null;
    const section = el("section", { class: "way" }, [el("h3", { text: WAYS[name] })]);
    const values = await Explore.columns.get(key);
    section.append(
      el("p", {
        class: found.above ? "verdict yes" : "verdict no",
        text:
          found.sentence ||
          (found.above
            ? "The best regions score above what other words reach."
            : "Nothing here: other words reach as much.")
      }),
      picture(values, found)
    );
    const list = Explore.results.list(found.rows, found.scores, answer.key);
    section.append(
      el("div", { class: "actions" }, [Explore.button("Colour the map", () => Explore.panes.colour(key))]),
      found.above ? list : el("details", {}, [el("summary", { text: "Show the best scoring all the same" }), list])
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
          high: 1
        });
      });
  }

  function words(found) {
    if (!found) return null;
    return el("section", { class: "way" }, [
      el("h3", { text: "By the words themselves" }),
      el("p", {
        class: "quiet",
        text: found.rows.length ? "Captions that hold the words, best first." : "No caption holds these words."
      }),
      found.rows.length
        ? el("details", {}, [
            el("summary", { text: found.rows.length + " regions" }),
            Explore.results.list(found.rows, found.scores)
          ])
        : null
    ]);
  }

  async function show(text, answer) {
    columns(answer, text);
    const ways = await Promise.all(Object.keys(WAYS).map((name) => way(answer, name)));
    const length = answer.tokens
      ? answer.tokens + " tokens of " + answer.positions + (answer.cut ? "; what came after was cut off" : "")
      : "";
    // Where captions hold the words, these are the better guide, as measured (docs/explore.md).
    const said = words(answer.by.words), first = said && answer.by.words.rows.length;
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
          .map((name) => WAYS[name] + ": " + (answer.by[name].sentence || ""))
          .join(" ")
    );
  }

  function run(text) {
    const asked = text.trim();
    if (!asked) return Promise.resolve();
    document.getElementById("words").value = asked;
    Explore.panel.show("search");
    return attempt(async () => {
      const answer = await Explore.source.text(asked);
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
      body.append(el("p", { class: "hint", text: (why || {}).text || "Search needs a model." }));
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
    blank();
  }

  return { start, run };
})();
