// The list of turns: only what is in sight is in the document, however many there are.
"use strict";

(() => {
  const { element } = review;
  const HEIGHT = 62;
  const BEYOND = 6;

  review.List = class {
    // `onchoose(row)` is told which row is chosen.
    constructor(place, inner, onchoose) {
      this.place = place;
      this.inner = inner;
      this.onchoose = onchoose;
      this.rows = [];
      this.chosen = null;
      place.addEventListener("scroll", () => this._drawSoon(), { passive: true });
      new ResizeObserver(() => this._drawSoon()).observe(place);
    }

    // The chosen turn stays chosen while it is among the rows.
    set(rows) {
      this.rows = rows;
      this.inner.style.height = `${rows.length * HEIGHT}px`;
      this._draw();
    }

    get index() {
      return this.chosen === null ? -1 : this.rows.findIndex((row) => row.id === this.chosen);
    }

    choose(index) {
      const row = this.rows[Math.min(Math.max(index, 0), this.rows.length - 1)];
      if (!row) return;
      this.chosen = row.id;
      this.reveal();
      this._draw();
      this.onchoose(row);
    }

    move(by) {
      this.choose(this.index < 0 ? 0 : this.index + by);
    }

    page(direction) {
      this.move(direction * Math.max(Math.floor(this.place.clientHeight / HEIGHT) - 1, 1));
    }

    reveal() {
      const top = this.index * HEIGHT;
      if (top < 0) return;
      if (top < this.place.scrollTop) this.place.scrollTop = top;
      const bottom = top + HEIGHT - this.place.clientHeight;
      if (bottom > this.place.scrollTop) this.place.scrollTop = bottom;
    }

    _drawSoon() {
      if (this._soon) return;
      this._soon = requestAnimationFrame(() => {
        this._soon = 0;
        this._draw();
      });
    }

    _draw() {
      const first = Math.max(Math.floor(this.place.scrollTop / HEIGHT) - BEYOND, 0);
      const last = Math.min(Math.ceil((this.place.scrollTop + this.place.clientHeight) / HEIGHT) + BEYOND, this.rows.length);
      const made = [];
      for (let index = first; index < last; index += 1) made.push(this._row(this.rows[index], index));
      this.inner.replaceChildren(...made);
      const chosen = this.index;
      if (chosen >= first && chosen < last) this.place.setAttribute("aria-activedescendant", `row-${chosen}`);
      else this.place.removeAttribute("aria-activedescendant");
    }

    _row(row, index) {
      const newDay = index === 0 || review.day(this.rows[index - 1].at) !== review.day(row.at);
      const marks = [];
      if (row.failed) marks.push(element("span", { class: "badge bad" }, review.outcome(row.outcome)));
      else if (row.interrupted) marks.push(element("span", { class: "badge warn" }, review.outcome(row.outcome)));
      else if (!["finished", "answered"].includes(row.outcome)) marks.push(element("span", { class: "badge" }, review.outcome(row.outcome)));
      if (row.underruns) marks.push(element("span", { class: "badge bad" }, row.underruns > 1 ? `${row.underruns} underruns` : "underrun"));
      if (row.failovers) marks.push(element("span", { class: "badge warn" }, row.failovers > 1 ? `${row.failovers} failovers` : "failover"));
      const made = element(
        "div",
        {
          class: `turn-row${row.id === this.chosen ? " chosen" : ""}${row.slow ? " slow" : ""}`,
          id: `row-${index}`,
          role: "option",
          "aria-selected": row.id === this.chosen ? "true" : "false",
          "aria-setsize": String(this.rows.length),
          "aria-posinset": String(index + 1),
          onclick: () => this.choose(index),
        },
        element("span", { class: "said" }, row.text || (row.kind === "listen" ? "(listening)" : "(no words)")),
        element("span", { class: "first" }, review.short(row.ttfa)),
        element("span", { class: "answered" }, row.words ? `“${row.words}”` : ""),
        element(
          "span",
          { class: "under" },
          element("time", { datetime: new Date(row.at).toISOString() }, newDay ? `${review.day(row.at)}, ${review.clock(row.at)}` : review.clock(row.at)),
          row.sound && element("i", { class: "has-sound", title: "with sound" }),
          ...marks,
        ),
      );
      made.style.top = `${index * HEIGHT}px`;
      return made;
    }
  };
})();
