// Lists of regions found, with thumbnails that are asked for when they come into view; and why one was found.
Explore.results = (function () {
  "use strict";
  const { el, button } = Explore;
  const FIRST = 12;

  function link(row) {
    return button(Explore.label(row), () => Explore.choose(row), {
      class: "link",
      onmouseenter: () => Explore.hover(row),
      onmouseleave: () => Explore.hover(null),
      onfocus: () => Explore.hover(row),
      onblur: () => Explore.hover(null)
    });
  }

  const seen = new IntersectionObserver(
    (entries) =>
      entries.forEach((entry) => {
        if (!entry.isIntersecting) return;
        seen.unobserve(entry.target);
        const { row, box } = entry.target.waiting;
        Explore.source.region(row).then(
          (region) => {
            const picture = (region.pictures || [])[0];
            if (picture) box.append(Explore.region.thumb(picture));
            const caption = (region.captions || []).find((one) => one.selected) || (region.captions || [])[0];
            if (caption) box.parentNode.querySelector(".says").textContent = caption.text;
          },
          () => {}
        );
      }),
    { rootMargin: "200px" }
  );

  function item(row, score, key) {
    const box = el("div", { class: "shot" }),
      why = el("div", { class: "evidence" });
    const node = el("li", {}, [
      box,
      el("div", { class: "what" }, [
        el("div", { class: "line" }, [
          link(row),
          score === null ? null : el("span", { class: "score", text: score.toFixed(3) }),
          key && Explore.state.content.can.evidence && Explore.source.explains(key)
            ? button(
                "Why?",
                () => Explore.source.region(row).then((region) => Explore.evidence.show(why, region, key)),
                { class: "small", "aria-label": "Why " + Explore.label(row) }
              )
            : null
        ]),
        el("p", { class: "says quiet" }),
        why
      ])
    ]);
    node.waiting = { row: row, box: box };
    seen.observe(node);
    return node;
  }

  // `key` names the query that evidence is asked for; none where nothing explains a score.
  function list(rows, scores, key, first) {
    const items = rows.map((row, i) => [row, scores ? scores[i] : null]);
    const node = el(
      "ol",
      { class: "found" },
      items.slice(0, first || FIRST).map(([row, score]) => item(row, score, key))
    );
    let shown = Math.min(first || FIRST, items.length);
    const more = button(
      "Show more",
      () => {
        node.append(...items.slice(shown, shown + FIRST).map(([row, score]) => item(row, score, key)));
        shown = Math.min(shown + FIRST, items.length);
        more.hidden = shown >= items.length;
      },
      { class: "more", hidden: shown >= items.length }
    );
    return el("div", {}, [node, more]);
  }

  return { link, list };
})();

// Why a region was found, or predicted so: phrases and parts of pictures whose leaving out lowers the score.
Explore.evidence = (function () {
  "use strict";
  const { el, clear, attempt } = Explore;
  const MARKED = 3; // parts of a picture: all nine marked would tell nothing

  function signed(gain) {
    const size = Math.abs(gain);
    return (gain < 0 ? "−" : "+") + (size >= 100 ? urbanln.quantity(size) : size.toPrecision(2));
  }

  function where([x0, y0, x1, y1]) {
    const name = (low, high, names) => names[Math.min(2, Math.floor(((low + high) / 2) * 3))];
    return name(y0, y1, ["upper", "middle", "lower"]) + " " + name(x0, x1, ["left", "middle", "right"]);
  }

  function phrases(all, amount = signed) {
    const most = Math.max(...all.map((one) => Math.abs(one.gain)), 1e-9);
    return el(
      "ul",
      { class: "phrases" },
      all.slice(0, 8).map((one) =>
        el("li", {}, [
          el("span", {
            class: one.gain < 0 ? "gain less" : "gain",
            style: { width: (44 * Math.abs(one.gain)) / most + "px" }
          }),
          el("span", { class: "amount", text: amount(one.gain) }),
          el("span", {}, [one.text])
        ])
      )
    );
  }

  // What a prediction is the sum of, and the sum; all to the same decimals, so that they add up to the eye.
  function summed(found) {
    const most = Math.max(Math.abs(found.total), ...found.sum.map((one) => Math.abs(one.gain)), 1e-9),
      decimals = Math.min(6, Math.max(0, 2 - Math.floor(Math.log10(most))));
    const amount = (gain) => {
      const text = Math.abs(gain).toFixed(decimals);
      return (Number(text) === 0 ? "" : gain < 0 ? "−" : "+") + text;
    };
    const regions = (found.regions || []).map((one) => ({
      gain: one.gain,
      text: el("span", {}, [Explore.results.link(one.row), el("span", { class: "quiet", text: " " + one.label })])
    }));
    if (found.others)
      regions.push({ gain: found.others.gain, text: "the other " + urbanln.quantity(found.others.count) + " together" });
    return el("div", { class: "summed" }, [
      phrases(found.sum, amount),
      el("p", {}, ["= ", el("b", { text: amount(found.total) }), " ", el("span", { class: "quiet", text: found.of })]),
      ...(regions.length
        ? [el("p", { class: "quiet", text: "Above the mean, by the regions it learnt from:" }), phrases(regions, amount)]
        : [])
    ]);
  }

  function parts(all, region) {
    const most = Math.max(...all.map((one) => Math.abs(one.gain)), 1e-9),
      by = new Map();
    all.forEach((one) => {
      if (!by.has(one.picture)) by.set(one.picture, []);
      const own = by.get(one.picture);
      if (own.length < MARKED) own.push(Object.assign({ share: Math.abs(one.gain) / most }, one));
    });
    const shown = Array.from(by, ([id, boxes]) => [
      (region.pictures || []).find((one) => one.id === id) || (window.URBANLN_DATA ? null : { id: id }),
      boxes
    ]);
    const marked = (picture, boxes) =>
      el("figure", {}, [
        Explore.region.thumb(picture, boxes),
        el(
          "figcaption",
          { class: "quiet" },
          boxes.map((one) => el("div", { text: where(one.box) + " " + signed(one.gain) }))
        )
      ]);
    return el("div", {}, [
      el(
        "div",
        { class: "thumbs" },
        shown.map(([picture, boxes]) => picture && marked(picture, boxes))
      ),
      shown.every(([picture]) => picture)
        ? null
        : el("p", { class: "quiet", text: "Parts of a picture that is not on this page carry it." })
    ]);
  }

  function elsewhere(whose) {
    return el(
      "dl",
      { class: "whose" },
      whose.map(([what, rows]) =>
        el("div", {}, [
          el("dt", { class: "quiet", text: what }),
          el(
            "dd",
            {},
            rows.map((row) => Explore.results.link(row))
          )
        ])
      )
    );
  }

  function show(box, region, key) {
    if (box.firstChild) {
      clear(box);
      return;
    }
    attempt(async () => {
      const found = await Explore.source.evidence(region.row, key);
      const nodes = [el("p", { class: "quiet", text: found.note })];
      if (found.sum) nodes.push(summed(found));
      if ((found.phrases || []).length) nodes.push(phrases(found.phrases));
      if ((found.parts || []).length) nodes.push(parts(found.parts, region));
      if (found.whose) nodes.push(elsewhere(found.whose));
      if (nodes.length === 1 && found.parts) nodes.push(el("p", { text: "Nothing of it carries the score alone." }));
      clear(box).append(...nodes);
    }, box);
  }

  return { show };
})();
