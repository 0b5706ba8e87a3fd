// The page as a whole: filters, search, keys, and which view is shown.
"use strict";

(() => {
  const { element } = review;
  const by = (id) => document.getElementById(id);
  const FILTERS = [
    ["all", "All", () => true],
    ["slow", "Slow", (row) => row.slow],
    ["interrupted", "Interrupted", (row) => row.interrupted],
    ["failed", "Failed", (row) => row.failed],
  ];
  const EMPTY =
    "No turns are in the logs yet. They are written by every `voicemode` that speaks or listens, unless VOICEMODE_EVENT_LOG_ENABLED=false.";

  let rows = [];
  let complete = false;
  let filter = FILTERS[0][0];
  let words = "";
  let soundOnly = false;

  const list = new review.List(by("list"), by("list-inner"), (row) => {
    view.show(row);
    history.replaceState(null, "", `#${encodeURIComponent(row.id)}`);
  });
  const view = new review.TurnView(by("turn"));

  // --- rows ---

  const found = () => {
    const [, , passes] = FILTERS.find(([name]) => name === filter);
    const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
    return rows.filter((row) => {
      if (!passes(row) || (soundOnly && !row.sound)) return false;
      if (!wanted.length) return true;
      const all = `${row.text} ${row.words} ${row.id} ${row.outcome} ${review.outcome(row.outcome)} ${row.kind}`.toLowerCase();
      return wanted.every((word) => all.includes(word));
    });
  };

  const showRows = () => {
    const shown = found();
    list.set(shown);
    const more = complete ? "" : " …";
    by("count").textContent =
      shown.length === rows.length
        ? `${review.turns(rows.length)}${more}`
        : `${review.number(shown.length)} of ${review.turns(rows.length)}${more}`;
    for (const button of by("filters").querySelectorAll("button[data-filter]")) {
      button.setAttribute("aria-pressed", String(button.dataset.filter === filter));
    }
    by("filters").querySelector("[data-sound]").setAttribute("aria-pressed", String(soundOnly));
    if (list.index < 0 && shown.length) list.choose(0);
    else if (!shown.length) nothing();
  };

  const nothing = () => {
    view.show(null);
    list.chosen = null;
    const why = rows.length ? "No turn passes the filters." : complete ? EMPTY : "Reading the logs …";
    by("turn").replaceChildren(element("p", { class: "empty" }, why));
  };

  const load = async () => {
    const known = new Set();
    const fresh = [];
    complete = false;
    try {
      do {
        const answer = await review.source.rows(known.size);
        const before = known.size;
        for (const row of answer.rows) {
          if (known.has(row.id)) continue;
          known.add(row.id);
          fresh.push(row);
        }
        complete = answer.last || known.size === before;
        rows = fresh;
        if (fresh.length && list.chosen === null) fromAddress();
        showRows();
        if (before === 0) performance.mark("first rows");
      } while (!complete);
      document.documentElement.dataset.loaded = String(rows.length);
    } catch (problem) {
      complete = true;
      by("turn").replaceChildren(element("p", { class: "empty bad", role: "alert" }, problem.message));
    }
  };

  // A turn that is named in the address is chosen, so that a reload and a link lead to the same place.
  const fromAddress = () => {
    const named = location.hash.slice(1);
    const row = named ? rows.find((each) => encodeURIComponent(each.id) === named) : null;
    if (row) {
      list.set(rows);
      list.choose(rows.indexOf(row));
    }
  };

  const choose = (name) => {
    filter = name;
    showRows();
  };

  // --- views ---

  const showDays = (days) => {
    by("turns-view").hidden = days;
    by("days-view").hidden = !days;
    by("show-days").setAttribute("aria-pressed", String(days));
    by("show-turns").setAttribute("aria-pressed", String(!days));
    if (days) {
      review.showDays(by("days-view"));
      by("days-view").focus();
    } else {
      by("list").focus();
    }
  };

  // --- keys ---

  const KEYS = {
    j: () => list.move(1),
    k: () => list.move(-1),
    " ": () => view.toggle(),
    n: () => view.next(),
    "+": () => view.zoom(1 / 1.6),
    "=": () => view.zoom(1 / 1.6),
    "-": () => view.zoom(1.6),
    0: () => view.fit(),
    f: () => choose(FILTERS[(FILTERS.findIndex(([name]) => name === filter) + 1) % FILTERS.length][0]),
    d: () => showDays(by("days-view").hidden),
    r: () => load(),
    "/": () => by("search").focus(),
    "?": () => by("help").showModal(),
    Escape: () => (by("days-view").hidden ? by("list").focus() : showDays(false)),
  };
  const IN_LIST = {
    ArrowDown: () => list.move(1),
    ArrowUp: () => list.move(-1),
    PageDown: () => list.page(1),
    PageUp: () => list.page(-1),
    Home: () => list.choose(0),
    End: () => list.choose(list.rows.length - 1),
    Enter: () => by("turn").focus({ preventScroll: true }),
  };
  const IN_TURN = {
    ArrowLeft: () => view.step(-1),
    ArrowRight: () => view.step(1),
    Home: () => view.start(),
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || by("help").open) return;
    const target = event.target;
    if (target.matches("input[type=search]")) {
      if (event.key === "Escape" || event.key === "Enter") by("list").focus();
      return;
    }
    // A button that has the focus is pressed by these.
    if (target.matches("button, input, summary") && (event.key === " " || event.key === "Enter")) return;
    const here = by("list").contains(target) || target === document.body ? IN_LIST : by("turn").contains(target) ? IN_TURN : {};
    const digit = /^[1-9]$/.test(event.key) ? () => view.hear(Number(event.key) - 1) : undefined;
    const action = here[event.key] || digit || KEYS[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });

  // --- beginning ---

  for (const [name, title] of FILTERS) {
    by("filters").append(element("button", { type: "button", "data-filter": name, "aria-pressed": "false", onclick: () => choose(name) }, title));
  }
  by("filters").append(
    element("button", { type: "button", "data-sound": "", "aria-pressed": "false", onclick: () => { soundOnly = !soundOnly; showRows(); } }, "With sound"),
  );
  by("search").addEventListener("input", () => {
    words = by("search").value;
    showRows();
  });
  by("show-turns").addEventListener("click", () => showDays(false));
  by("show-days").addEventListener("click", () => showDays(true));
  by("show-help").addEventListener("click", () => by("help").showModal());
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => view.redraw());
  if (review.source.leftOut) {
    by("left-out").textContent = review.source.leftOut;
    by("left-out").hidden = false;
  }
  load();
  by("list").focus();
})();
