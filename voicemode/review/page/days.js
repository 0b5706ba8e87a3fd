// How the days went: first sound, turn time, underruns and failovers, day by day.
"use strict";

(() => {
  const { element, svg } = review;
  const WIDTH = 560;
  const HEIGHT = 170;
  const LEFT = 44;
  const BOTTOM = 24;
  const TOP = 12;

  review.showDays = async (place) => {
    place.replaceChildren(element("p", { class: "empty" }, "Reading all the logs …"));
    let days;
    try {
      days = await review.source.days();
    } catch (problem) {
      place.replaceChildren(element("p", { class: "empty bad", role: "alert" }, problem.message));
      return;
    }
    if (!days || !days.length) {
      place.replaceChildren(element("p", { class: "empty" }, "There are no days in here."));
      return;
    }
    const part = (name, index) => days.map((day) => (day[name] === null ? null : day[name][index]));
    const count = (name) => days.map((day) => day[name]);
    place.replaceChildren(
      element("h2", {}, `${days.length} days, ${review.number(count("turns").reduce((sum, each) => sum + each, 0))} turns`),
      element(
        "div",
        { class: "charts" },
        lines("First sound", "from the call to the first audible sample", days, part("ttfa", 0), part("ttfa", 1)),
        lines("Turn time", "from your last voiced sample to the words", days, part("turn_time", 0), part("turn_time", 1)),
        bars("Underruns", "times that the sound ran dry", days, count("underruns"), "bad"),
        bars("Failovers", "endpoints that gave up and were followed by another", days, count("failovers"), "warn"),
        bars("Failed turns", "", days, count("failed"), "bad"),
        bars("Turns", "", days, count("turns"), "plain"),
      ),
      table(days),
    );
  };

  const frame = (days, most, unit) => {
    const made = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" });
    const y = (value) => HEIGHT - BOTTOM - (value / most) * (HEIGHT - BOTTOM - TOP);
    const slot = (WIDTH - LEFT - 8) / days.length;
    const x = (index) => LEFT + slot * (index + 0.5);
    for (const share of [0, 0.5, 1]) {
      const value = most * share;
      made.append(svg("line", { x1: LEFT, x2: WIDTH - 8, y1: y(value), y2: y(value), class: "gridline" }));
      made.append(svg("text", { x: LEFT - 6, y: y(value) + 4, class: "tick end" }, unit(value)));
    }
    const every = Math.ceil(days.length / 7);
    days.forEach((day, index) => {
      if ((days.length - 1 - index) % every === 0) {
        made.append(svg("text", { x: x(index), y: HEIGHT - 6, class: "tick middle" }, review.date(day.day)));
      }
    });
    return { made, x, y, slot };
  };

  const niceMost = (values) => {
    const most = Math.max(...values.filter((value) => value !== null), 0);
    if (most === 0) return 1;
    const power = 10 ** Math.floor(Math.log10(most));
    return [1, 2, 4, 5, 10].map((each) => each * power).find((each) => each >= most);
  };

  const figure = (title, about, made, legend) =>
    element("figure", {}, element("figcaption", {}, element("strong", {}, title), legend || element("span", {}, about)), made);

  const lines = (title, about, days, median, slow) => {
    const { made, x, y } = frame(days, niceMost(slow), (value) => `${Number(value.toPrecision(2))} s`);
    const path = (values) =>
      values
        .map((value, index) => (value === null ? "" : `${index === 0 || values[index - 1] === null ? "M" : "L"}${x(index)} ${y(value)}`))
        .join("");
    made.setAttribute("aria-label", `${title}, ${about}: last day p50 ${review.short(median.at(-1))}, p95 ${review.short(slow.at(-1))}`);
    made.append(svg("path", { d: path(slow), class: "p95" }), svg("path", { d: path(median), class: "p50" }));
    days.forEach((day, index) => {
      for (const [values, kind] of [[slow, "p95"], [median, "p50"]]) {
        if (values[index] === null) continue;
        const dot = svg("circle", { cx: x(index), cy: y(values[index]), r: 3, class: kind });
        dot.append(svg("title", {}, `${day.day}: ${kind} ${review.short(values[index])}`));
        made.append(dot);
      }
    });
    const legend = element("span", {}, `${about}: `, element("b", { class: "p50" }, "p50"), " ", element("b", { class: "p95" }, "p95"));
    return figure(title, about, made, legend);
  };

  const bars = (title, about, days, values, kind) => {
    const { made, x, y, slot } = frame(days, niceMost(values), (value) => (Number.isInteger(value) ? review.number(value) : ""));
    const width = Math.max(Math.min(slot * 0.6, 26), 1.5);
    made.setAttribute("aria-label", `${title} ${about}: last day ${values.at(-1)}`);
    days.forEach((day, index) => {
      const bar = svg("rect", { x: x(index) - width / 2, width, y: y(values[index]), height: Math.max(y(0) - y(values[index]), 0), rx: 2, class: `fill ${kind}` });
      bar.append(svg("title", {}, `${day.day}: ${values[index]}`));
      made.append(bar);
    });
    return figure(title, about, made);
  };

  const table = (days) => {
    const both = (value) => (value === null ? "–" : `${review.short(value[0])} / ${review.short(value[1])}`);
    const names = ["Day", "Turns", "First sound p50 / p95", "Turn time p50 / p95", "Underruns", "Failovers", "Failed", "Interrupted"];
    const rows = [...days].reverse().map((day) =>
      element(
        "tr",
        {},
        element("th", { scope: "row" }, day.day),
        ...[day.turns, both(day.ttfa), both(day.turn_time), day.underruns, day.failovers, day.failed, day.interrupted].map((value) =>
          element("td", { class: "number" }, String(value)),
        ),
      ),
    );
    const head = element("tr", {}, ...names.map((name) => element("th", { scope: "col" }, name)));
    return element("div", { class: "scrolls" }, element("table", { class: "days" }, element("thead", {}, head), element("tbody", {}, ...rows)));
  };
})();
