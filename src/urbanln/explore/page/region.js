// One region: its pictures, its caption, its labels beside held-out predictions, its neighbours.
Explore.region = (function () {
  "use strict";
  const { state, el, clear, button, attempt } = Explore;
  let body = null;

  function source(picture) {
    return [picture.view, picture.captured, picture.attribution, picture.licence].filter(Boolean).join(" · ");
  }

  // A picture opens large in a dialog, with whom to name; `boxes` (0..1) mark parts of it.
  function thumb(picture, boxes) {
    const name = (picture.view || "picture") + (picture.captured ? ", " + picture.captured : "");
    const image = el("img", {
      src: Explore.source.picture(picture.id, 384),
      alt: name,
      loading: "lazy",
      width: "384",
      height: "384",
      onerror: () => image.parentNode.replaceWith(el("span", { class: "thumb broken", text: "cannot be read" }))
    });
    return el(
      "button",
      {
        type: "button",
        class: "thumb",
        title: source(picture),
        onclick: () => large(picture, boxes),
        "aria-label": "Enlarge " + name
      },
      [image].concat((boxes || []).map(marked))
    );
  }

  function marked(part) {
    const [x0, y0, x1, y1] = part.box;
    return el("span", {
      class: part.gain < 0 ? "part less" : "part",
      style: {
        left: 100 * x0 + "%",
        top: 100 * y0 + "%",
        width: 100 * (x1 - x0) + "%",
        height: 100 * (y1 - y0) + "%",
        opacity: String(0.35 + 0.65 * (part.share === undefined ? 1 : part.share))
      }
    });
  }

  function large(picture, boxes) {
    const dialog = document.getElementById("large");
    const frame = el(
      "div",
      { class: "frame" },
      [el("img", { src: Explore.source.picture(picture.id, 1024), alt: picture.view || "picture" })].concat(
        (boxes || []).map(marked)
      )
    );
    clear(dialog).append(
      frame,
      el("p", { text: source(picture) || "No source is named." }),
      button("Close", () => dialog.close(), { autofocus: true })
    );
    dialog.showModal();
  }

  function pictures(region) {
    const all = region.pictures || [];
    if (!all.length) return el("p", { class: "quiet", text: "No pictures." });
    const more = (region.pictures_total || all.length) - all.length;
    return el("div", {}, [
      el(
        "div",
        { class: "thumbs" },
        all.slice(0, 6).map((one) => thumb(one))
      ),
      all.length > 6
        ? el("details", {}, [
            el("summary", { text: all.length - 6 + " more pictures" }),
            el(
              "div",
              { class: "thumbs" },
              all.slice(6).map((one) => thumb(one))
            )
          ])
        : null,
      more > 0
        ? el("p", { class: "quiet", text: more.toLocaleString("en-US") + " further pictures are not shown." })
        : null
    ]);
  }

  function said(caption) {
    const facts = [
      caption.captioner,
      typeof caption.agreement === "number" ? "agreement " + caption.agreement.toFixed(2) : null
    ].filter(Boolean);
    return el("blockquote", {}, [
      el("p", { text: caption.text }),
      facts.length ? el("footer", { text: facts.join(" · ") }) : null
    ]);
  }

  function captions(region) {
    const all = region.captions || [];
    if (!all.length) return [];
    const first = all.filter((one) => one.selected),
      others = all.filter((one) => !one.selected);
    const shown = first.length ? first : others.splice(0, 1);
    return [el("h3", { text: first.length ? "Voted caption" : "Caption" })].concat(
      shown.slice(0, 3).map(said),
      others.concat(shown.slice(3)).length
        ? el(
            "details",
            {},
            [el("summary", { text: others.length + shown.slice(3).length + " other captions" })].concat(
              shown.slice(3).concat(others).map(said)
            )
          )
        : []
    );
  }

  // Truth, prediction and interval of one label on the label's own axis.
  function strip(one, column) {
    const values = [one.truth, one.prediction, one.low, one.high].filter((value) => typeof value === "number");
    const bend = one.log ? (v) => Math.log1p(Math.max(v, 0)) : (v) => v;
    const ends = [column ? column.low : Infinity, column ? column.high : -Infinity].concat(values);
    const low = bend(Math.min(...ends)),
      high = bend(Math.max(...ends)),
      width = 340;
    const x = (value) => (8 + ((bend(value) - low) / (high - low || 1)) * (width - 16)).toFixed(1);
    const known = (value) => typeof value === "number";
    return el("svg:svg", { viewBox: "0 0 " + width + " 22", class: "strip", "aria-hidden": "true" }, [
      el("svg:line", { x1: 8, x2: width - 8, y1: 11, y2: 11, class: "axis" }),
      known(one.low) && known(one.high)
        ? el("svg:line", { x1: x(one.low), x2: x(one.high), y1: 11, y2: 11, class: "interval" })
        : null,
      known(one.prediction) ? el("svg:circle", { cx: x(one.prediction), cy: 11, r: 5, class: "guess" }) : null,
      known(one.truth) ? el("svg:path", { d: "M" + x(one.truth) + " 3v16", class: "truth" }) : null
    ]);
  }

  // A class is nowhere on an axis: it and the true one by name, and how it turned out.
  function facts(region, one, column) {
    const number = urbanln.quantity,
      said = (key) => {
        const entry = Explore.columns.entry(key);
        return entry ? Explore.columns.format(entry, region.values[key]) : "–";
      };
    const truth = typeof one.truth === "number",
      guess = typeof one.prediction === "number";
    if (one.kind === "class")
      return [
        truth ? "label " + said("label:" + one.label) : "no label",
        "predicted " + said("prediction:" + one.label),
        ...(typeof one.in_set === "number" ? [one.in_set + (one.in_set === 1 ? " class" : " classes") + " in its set"] : [])
      ];
    const found = [
      truth
        ? "label " + (column ? Explore.columns.format(column, region.values[column.key]) : number(one.truth))
        : "no label",
      guess ? "predicted " + number(one.prediction) : "no prediction"
    ];
    if (typeof one.low === "number" && typeof one.high === "number")
      found.push("interval " + (one.ends ? one.ends + " " : "") + number(one.low) + " to " + number(one.high));
    return found;
  }

  function flag(region, one) {
    const put = (good, text) => el("span", { class: good ? "flag in" : "flag out", text: text });
    if (one.kind === "class") {
      const column = Explore.columns.entry("error:" + one.label);
      if (!column || typeof one.outcome !== "number") return null;
      const text = Explore.columns.format(column, one.outcome);
      return put(text === "right", text);
    }
    return one.inside === true || one.inside === false
      ? put(one.inside, one.inside ? "inside" : "outside its interval")
      : null;
  }

  function predicted(region, one) {
    const unit = one.unit ? " " + one.unit : "";
    const column = Explore.columns.entry("label:" + one.label),
      key = "prediction:" + one.label;
    const box = el("div", { class: "evidence" });
    const title = column ? column.title : one.label;
    return el("li", {}, [
      el("div", { class: "line" }, [
        el("b", { text: title }),
        el("span", { class: "quiet", text: unit }),
        flag(region, one),
        state.content.can.evidence && Explore.source.explains(key) && typeof one.prediction === "number"
          ? button("Why?", () => Explore.evidence.show(box, region, key), {
              class: "small",
              "aria-label": "Why this prediction of " + title
            })
          : null
      ]),
      one.kind === "class" ? null : strip(one, column),
      el("p", { class: "quiet", text: facts(region, one, column).join(" · ") }),
      box
    ]);
  }

  function predictions(region) {
    const all = region.predictions || [];
    if (!all.length) return [];
    return [
      el("h3", { text: "Labels and held-out predictions" }),
      el("p", { class: "key quiet" }, [
        el("span", { class: "mark truth-mark" }),
        "label ",
        el("span", { class: "mark guess-mark" }),
        "prediction ",
        el("span", { class: "mark interval-mark" }),
        "interval"
      ]),
      el(
        "ul",
        { class: "predictions" },
        all.map((one) => predicted(region, one))
      )
    ];
  }

  function values(region) {
    const shown = new Set((region.predictions || []).map((one) => one.label)),
      rows = [];
    Explore.columns.all().forEach((column) => {
      if (!(column.key in region.values) || shown.has(column.of) || shown.has(column.key.replace(/^label:/, "")))
        return;
      const value = region.values[column.key];
      if (value === null && state.content.cities.length > 1) return; // perhaps a column of another city
      rows.push(
        el("div", {}, [
          el("dt", { text: column.title }),
          el("dd", {
            text: Explore.columns.format(column, value) + (value === null ? "" : " " + Explore.columns.unit(column))
          })
        ])
      );
    });
    if (!rows.length) return [];
    return [
      el("details", { open: !shown.size }, [
        el("summary", { text: shown.size ? "Other values" : "Values" }),
        el("dl", { class: "values" }, rows)
      ])
    ];
  }

  function neighbours(region) {
    const list = (title, pairs) =>
      el("div", {}, [
        el("h4", { text: title }),
        el(
          "ol",
          { class: "plain" },
          pairs.map(([row, ...facts]) =>
            el("li", {}, [
              Explore.results.link(row),
              " ",
              el("span", { class: "quiet whole", text: facts.join(" · ") })
            ])
          )
        )
      ]);
    const far = (row) => kilometres(Explore.distance([region.lon, region.lat], Explore.places.of(row)));
    if (!(region.near || []).length && !(region.alike || []).length) return [];
    return [
      el("h3", { text: "Neighbours" }),
      el("div", { class: "columns" }, [
        list(
          "In space",
          (region.near || []).slice(0, 6).map((row) => [row, far(row)])
        ),
        (region.alike || []).length
          ? list(
              "In looks",
              region.alike.slice(0, 6).map((one) => [one.row, one.score.toFixed(3), far(one.row)])
            )
          : null
      ])
    ];
  }

  function kilometres(value) {
    return value < 1 ? Math.round(value * 1000) + " m" : urbanln.quantity(value) + " km";
  }

  function fill(region) {
    const head = el("h2", { text: region.name || region.id, tabindex: "-1" });
    const facts = [
      region.name ? region.id : null,
      state.content.cities.length > 1 ? region.city : null,
      typeof region.lat === "number" ? region.lat.toFixed(4) + ", " + region.lon.toFixed(4) : null
    ].filter(Boolean);
    clear(body).append(
      head,
      el("p", { class: "quiet", text: facts.join(" · ") }),
      el("div", { class: "actions" }, [
        state.content.can.similar ? button("Find similar", () => Explore.similar.of([region.row])) : null,
        button("Copy link", () => Explore.link.copy()),
        button("Close", () => Explore.choose(null))
      ]),
      pictures(region),
      ...captions(region),
      ...predictions(region),
      ...values(region),
      ...neighbours(region)
    );
    Explore.say("Region " + Explore.label(region.row));
  }

  function blank() {
    clear(body).append(
      el("h2", { text: "No region chosen" }),
      el("p", {
        class: "quiet",
        text: "Click a region on the map, or go from region to region with the arrow keys and press Enter."
      }),
      chooser(),
      ...Explore.about.first()
    );
  }

  function chooser() {
    const input = el("input", { type: "text", id: "region-id", list: "region-ids", autocomplete: "off" });
    const options = el(
      "datalist",
      { id: "region-ids" },
      (state.content.ids || []).slice(0, 500).map((id) => el("option", { value: id }))
    );
    return el(
      "form",
      {
        class: "row",
        onsubmit: (event) => {
          event.preventDefault();
          attempt(async () => {
            await Explore.named();
            const row = state.content.ids.indexOf(input.value.trim());
            if (row < 0)
              Explore.fail({ message: "There is no region with this id.", remedy: "Ids are written as in regions." });
            else Explore.choose(row);
          });
        }
      },
      [
        el("label", { for: "region-id", text: "Region by id" }),
        input,
        options,
        el("button", { type: "submit", text: "Show" })
      ]
    );
  }

  function start() {
    body = Explore.panel.add("region", "Region");
    Explore.on("row", (row) => {
      if (row === null) {
        blank();
        return;
      }
      Explore.panes.reveal(row);
      // A link that is gone with its list takes the focus along: then it goes to what it led to.
      const led = document.getElementById("bodies").contains(document.activeElement);
      Explore.panel.show("region");
      document.getElementById("panel").scrollTop = 0;
      attempt(async () => {
        const [region] = await Promise.all([Explore.source.region(row), Explore.named()]);
        if (state.row !== row) return;
        fill(region);
        if (led) body.querySelector("h2").focus({ preventScroll: true });
      }, body);
    });
    blank();
  }

  return { start, thumb };
})();
