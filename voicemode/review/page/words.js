// Elements, numbers and names as the page shows them.
"use strict";

const review = {};

(() => {
  // element("p", { class: "x", onclick: f, "aria-label": "y" }, "text", child)
  review.element = (tag, properties = {}, ...children) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (value === null || value === undefined || value === false) continue;
      if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else if (name === "class") made.className = value;
      else made.setAttribute(name, value === true ? "" : value);
    }
    made.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
    return made;
  };

  review.svg = (tag, properties = {}, ...children) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(properties)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  };

  review.seconds = (value, digits = 2) => (value === null || value === undefined ? "–" : `${value.toFixed(digits)} s`);

  review.short = (value) => {
    if (value === null || value === undefined) return "–";
    return value < 1 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(1)} s`;
  };

  review.bytes = (value) => (value < 1e6 ? `${Math.round(value / 1e3)} kB` : `${(value / 1e6).toFixed(1)} MB`);

  const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  const day = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short" });
  const whole = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });
  const date = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", timeZone: "UTC" });
  review.clock = (at) => clock.format(at);
  review.day = (at) => day.format(at);
  review.date = (iso) => date.format(new Date(`${iso}T00:00:00Z`));
  review.when = (at) => whole.format(at);
  review.number = (value) => value.toLocaleString();
  review.turns = (value) => `${review.number(value)} ${value === 1 ? "turn" : "turns"}`;

  review.OUTCOMES = {
    finished: "finished",
    answered: "answered",
    no_speech: "nobody spoke",
    timed_out: "timed out",
    interrupted: "interrupted",
    cancelled: "cancelled",
    broken: "broke off",
    not_played: "not played",
    not_transcribed: "not transcribed",
    failed: "failed",
    unfinished: "unfinished",
  };
  review.outcome = (name) => review.OUTCOMES[name] || name;

  review.SOUNDS = {
    sink: "loudspeaker",
    tts: "our voice",
    mic: "microphone",
    clean: "without echo",
    stt: "to recogniser",
  };
  review.sound = (kind) => {
    const piece = /^stream-(\d+)/.exec(kind);
    return piece ? `stream, piece ${Number(piece[1]) + 1}` : review.SOUNDS[kind] || kind;
  };
  // In the order of the way that they take: ours out of the loudspeaker, the user's into the recogniser.
  const ORDER = ["sink", "tts", "stream", "mic", "clean", "stt"];
  review.place = (kind) => ORDER.indexOf(kind.split("-")[0]);
  // Whose voice a sound holds: the page has a colour for each side.
  review.isOurs = (kind) => kind === "tts" || kind === "sink" || kind.startsWith("stream");

  review.colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
})();
