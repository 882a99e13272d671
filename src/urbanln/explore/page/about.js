// What stands behind the page: sources and whom to name, verdicts, columns, what is missing and why, the keys.
Explore.about = (function () {
  "use strict";
  const { state, el } = Explore;
  const KEYS = [
    ["Arrow keys on a map", "go from region to region"],
    ["+ and −, Home", "zoom, show all"],
    ["Enter on a map", "choose the region"],
    ["Escape", "end drawing"],
    ["/", "go to the search box"]
  ];

  const WHAT = {
    similar: "what looks alike",
    text: "search by words",
    upload: "like a picture of yours",
    evidence: "what an answer leans on"
  };

  // What a probe found in a sentence, and a row a label: the score of the vectors, of the strongest floor without
  // them, and the verdicts, of map and vectors together and of the vectors alone, with what their intervals say.
  function verdicts(all) {
    const several = all.some((one) => one.measure !== all[0].measure),
      measure = several ? "Scores" : all[0].measure;
    const together = all.some((one) => one.adds.state !== "unknown"),
      asked = together ? ["Both − map", "Vectors − map"] : ["Vectors − map"];
    const verdict = (gap) =>
      el("td", {}, [
        gap.diff + " ",
        el("span", { class: "quiet whole", text: gap.range }),
        el("span", { class: "quiet", text: " " + gap.word })
      ]);
    const head = ["Label", "Vectors, map", ...asked].map((text) => el("th", { scope: "col", text: text }));
    const rows = all.map((one) =>
      el("tr", {}, [
        el("th", { scope: "row" }, [
          one.indicator,
          several ? el("span", { class: "quiet", text: " " + one.measure }) : null
        ]),
        el("td", {}, [
          one.score + " ",
          el("span", { class: "quiet whole", text: one.range }),
          el("div", {}, [one.floor_score + " ", el("span", { class: "quiet", text: one.floor })])
        ]),
        ...(together ? [verdict(one.adds)] : []),
        verdict(one.alone)
      ])
    );
    const table = el("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": measure + " of held-out predictions" }, [
      el("table", {}, [
        el("caption", {
          class: "quiet",
          text: measure + " of predictions held out under the " + all[0].split + " split, by " + all[0].by
        }),
        el("thead", {}, [el("tr", {}, head)]),
        el("tbody", {}, rows)
      ])
    ]);
    return el("div", {}, [state.content.headline ? el("p", { text: state.content.headline }) : null, table]);
  }

  // For somebody who has just come: what can be asked here, and what the vectors are worth.
  function first() {
    const { can, queries, verdicts: all } = state.content,
      go = (text, action) => el("li", {}, [Explore.button(text, action, { class: "link" })]),
      words = (queries || []).slice(0, 3);
    const ways = [
      ...(can.text || words.length
        ? words.map((text) => go("Where does it look like “" + text + "”?", () => Explore.search.run(text)))
        : []),
      can.text && !words.length ? go("Search by your own words", () => document.getElementById("words").focus()) : null,
      go("Draw around regions, filter them, take them away as a file", () => Explore.panel.show("select", true)),
      go("Sources, licences, keys", () => Explore.panel.show("about", true))
    ];
    const look = !can.similar
      ? ""
      : can.pictures
        ? "Of a chosen region you see its pictures, and where else it looks like that."
        : "Of a chosen region you see what is known of it, and which others are like it.";
    return [
      look ? el("p", { class: "quiet", text: look }) : null,
      el("h3", { text: "To begin with" }),
      el("ul", { class: "queries" }, ways),
      ...((all || []).length ? [el("h3", { text: "What the vectors are worth" }), verdicts(all)] : [])
    ].filter(Boolean);
  }

  // What the page holds by others; null where it does not.
  function licence(id, title) {
    const text = document.getElementById(id);
    return text && el("details", {}, [el("summary", { text: title }), el("pre", { text: text.textContent })]);
  }

  function start() {
    const content = state.content,
      body = Explore.panel.add("about", "About");
    body.append(
      el("h2", { text: content.title }),
      el("p", { class: "quiet", text: content.n.toLocaleString("en-US") + " regions" })
    );
    (content.notes || []).forEach((text) => body.append(el("p", { class: "hint", text: text })));
    content.cities.forEach((city) => {
      body.append(el("h3", { text: "Sources of " + city.name }));
      body.append(
        (city.terms || []).length
          ? el(
              "ul",
              { class: "plain" },
              city.terms.map((text) => el("li", { text: text }))
            )
          : el("p", { class: "quiet", text: "No source is named." })
      );
    });
    if ((content.verdicts || []).length)
      body.append(el("h3", { text: "What the vectors are worth" }), verdicts(content.verdicts));
    // One line a reason, with all that it keeps from being asked.
    const why = new Map();
    Object.entries(content.why_not || {}).forEach(([what, text]) =>
      why.set(text, [...(why.get(text) || []), WHAT[what] || what])
    );
    if (why.size)
      body.append(
        el("h3", { text: "What is missing here" }),
        el(
          "ul",
          { class: "plain" },
          [...why].map(([text, whats]) => {
            const all = whats.join(", ");
            return el("li", { text: all[0].toUpperCase() + all.slice(1) + ": " + text });
          })
        )
      );
    body.append(
      el("details", {}, [
        el("summary", { text: "Columns" }),
        el(
          "dl",
          { class: "values" },
          content.columns.map((column) =>
            el("div", {}, [
              el("dt", { text: column.title }),
              el("dd", {
                text:
                  [column.unit, column.note, column.missing ? column.missing.toLocaleString("en-US") + " missing" : ""]
                    .filter(Boolean)
                    .join(" · ") || "–"
              })
            ])
          )
        )
      ]),
      el("h3", { text: "Keys" }),
      el(
        "dl",
        { class: "values", id: "map-keys" },
        KEYS.map(([key, text]) => el("div", {}, [el("dt", { text: key }), el("dd", { text: text })]))
      ),
      licence("licence", "Licence of the map library (MapLibre GL JS, BSD 3-Clause)"),
      licence("parquet-licence", "Licence of what writes Parquet files (hyparquet-writer, MIT)") || ""
    );
  }

  return { start, first };
})();
