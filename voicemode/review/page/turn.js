// One turn in full: what went wrong, its time axis with sound, the words, the figures, every event.
"use strict";

(() => {
  const { element } = review;
  const OURS = ["sink", "tts"];
  const THEIRS = ["clean", "mic", "stt"];
  const SEEK = 0.5;

  review.TurnView = class {
    constructor(place) {
      this.place = place;
      this.row = null;
      this._asked = 0;
    }

    async show(row) {
      if (this.row !== null && row !== null && this.row.id === row.id) return;
      this.close();
      this.row = row;
      this._asked += 1;
      const asked = this._asked;
      if (row === null) {
        this.place.replaceChildren(element("p", { class: "empty" }, "No turn is chosen."));
        return;
      }
      try {
        const turn = await review.source.turn(row.id);
        if (asked === this._asked) this._build(row, turn, asked);
      } catch (problem) {
        if (asked === this._asked) this._complain(problem);
      }
    }

    close() {
      if (this.player) this.player.close();
      if (this.timeline) this.timeline.close();
      this.player = null;
      this.timeline = null;
      this.row = null;
    }

    // --- what keys do ---

    toggle() {
      if (this.player) this.player.toggle();
    }

    step(direction) {
      if (this.player) this._seek(this.player.position + direction * SEEK);
    }

    start() {
      if (this.player) this._seek(0);
    }

    next() {
      if (!this.player) return;
      const now = this.player.position + 0.001;
      const later = this._turn.moments.find((moment) => moment.at > now);
      this._seek((later || this._turn.moments[0] || { at: 0 }).at);
    }

    zoom(factor) {
      if (this.timeline) this.timeline.zoom(factor);
    }

    fit() {
      if (this.timeline) this.timeline.fit();
    }

    hear(number) {
      const box = this.place.querySelectorAll(".hear input")[number];
      if (box) box.click();
    }

    redraw() {
      if (this.timeline) this.timeline.draw();
    }

    // --- how it is built ---

    _build(row, turn, asked) {
      this._turn = turn;
      this.timeline = new review.Timeline(turn, (seconds) => this._seek(seconds));
      this.player = new review.Player(this.timeline.all.from, this.timeline.all.to, (seconds, playing) =>
        this._moved(seconds, playing),
      );
      this.place.replaceChildren(
        this._title(row, turn),
        this._findings(turn),
        this._words(turn),
        this._bar(turn),
        this.timeline.element,
        this._notes(turn),
        this._figures(turn),
        this._events(turn),
      );
      this.place.scrollTop = 0;
      this.place.dataset.turn = row.id;
      this.timeline.draw();
      this._moved(0, false);
      this._load(turn, asked);
    }

    _title(row, turn) {
      const about = [review.when(row.at), row.kind, `turn ${row.id}`];
      if (turn.conversation) about.push(`conversation ${turn.conversation}`);
      const level = row.failed ? "bad" : row.interrupted ? "warn" : ["finished", "answered"].includes(row.outcome) ? "good" : "";
      return element(
        "header",
        { class: "title" },
        element("h2", {}, row.text || (row.kind === "listen" ? "Listening" : "No words")),
        element(
          "p",
          { class: "about" },
          element("span", { class: `badge ${level}` }, review.outcome(row.outcome)),
          row.slow && element("span", { class: "badge warn" }, "slow"),
          ` ${about.filter(Boolean).join(" · ")}`,
        ),
      );
    }

    _findings(turn) {
      const lines = turn.findings.map((finding) =>
        element(
          "li",
          { class: finding.level },
          finding.text,
          finding.at !== null &&
            element(
              "button",
              { type: "button", class: "jump", title: "Show it", onclick: () => this._jump(finding.at) },
              `at ${review.seconds(finding.at)}`,
            ),
        ),
      );
      const wrong = turn.findings.filter((finding) => finding.level === "bad").length;
      const heading = wrong ? "What went wrong" : "What happened";
      return element("section", { class: `findings ${wrong ? "bad" : "good"}` }, element("h3", {}, heading), element("ol", {}, ...lines));
    }

    _words(turn) {
      const said = element("p", {}, element("span", { class: "heard" }, turn.heard));
      if (turn.unheard) said.append(" ", element("span", { class: "unheard" }, turn.unheard));
      if (!turn.heard && !turn.unheard) said.replaceChildren(element("span", { class: "heard none" }, turn.text || "nothing"));
      const title = turn.unheard ? ["Said: heard, ", element("span", { class: "unheard" }, "unheard")] : ["Said"];
      return element(
        "section",
        { class: "words" },
        element("div", { class: "ours" }, element("h3", {}, ...title), said),
        element("div", { class: "theirs" }, element("h3", {}, "Answered"), element("p", {}, turn.words || element("span", { class: "none" }, "nothing"))),
      );
    }

    _bar(turn) {
      this.button = element(
        "button",
        { type: "button", class: "play", "aria-label": "Play", title: "Play and pause (Space)", onclick: () => this.toggle(), disabled: true },
        element("i", {}),
      );
      this.clock = element("output", { class: "clock" }, "0.00 s");
      this.state = element("span", { class: "state", role: "status" }, turn.sounds.length ? "loading the sound …" : "No sound was recorded: VOICEMODE_SAVE_AUDIO=true keeps it.");
      const tool = (name, title, action) => element("button", { type: "button", class: "tool", title, "aria-label": title, onclick: action }, name);
      return element(
        "div",
        { class: "transport" },
        this.button,
        this.clock,
        this.state,
        element("span", { class: "gap" }),
        tool("−", "Further (-)", () => this.zoom(1.6)),
        tool("+", "Closer (+)", () => this.zoom(1 / 1.6)),
        tool("Fit", "The whole turn (0)", () => this.fit()),
        tool("Next moment", "Next moment (n)", () => this.next()),
      );
    }

    _notes(turn) {
      const torn = turn.sounds.filter((sound) => !sound.complete);
      this.notes = element("p", { class: "notes", hidden: true });
      if (torn.length) this._note(`Not complete: ${torn.map((sound) => sound.name).join(", ")}.`);
      return this.notes;
    }

    _note(text) {
      this.notes.append(`${text} `);
      this.notes.hidden = false;
    }

    _figures(turn) {
      const known = turn.figures;
      const rows = [
        ["First sound", known.ttfa, "from the call to the first audible sample"],
        ["Turn time", known.turn_time, "from the user's last voiced sample to the words"],
        ["Words", known.transcription, "from the end of the turn to the words"],
        ["Synthesis", known.generation, "from the first request to the last byte"],
        ["Playback", known.playback, "from the first audible sample to the last"],
        ["Listening", known.listening, "microphone open"],
        ["Whole turn", known.total, "from the call to its end"],
      ].filter(([, value]) => value !== null);
      const figures = rows.map(([name, value, title]) =>
        element("div", { title }, element("dt", {}, name), element("dd", {}, review.seconds(value))),
      );
      const counted = (name, value, title) => element("div", { title, class: value ? "bad" : "" }, element("dt", {}, name), element("dd", {}, String(value)));
      figures.push(counted("Underruns", known.underruns, "times that the sound ran dry"));
      figures.push(counted("Failovers", this.row.failovers, "endpoints that gave up and were followed by another"));
      return element("section", { class: "figures" }, element("h3", {}, "Figures"), element("dl", {}, ...figures));
    }

    _events(turn) {
      const rows = turn.events.map((event) =>
        element(
          "tr",
          {},
          element("td", { class: "number" }, event.at === null ? "–" : event.at.toFixed(3)),
          element("td", { class: "name" }, event.name),
          element("td", {}, event.sentence),
          element("td", { class: "fields" }, Object.entries(event.fields).map(([name, value]) => `${name}: ${value}`).join(", ")),
        ),
      );
      const head = element("tr", {}, ...["Seconds", "Event", "What happened", "Fields"].map((name) => element("th", { scope: "col" }, name)));
      return element("details", { class: "events" }, element("summary", {}, `All ${rows.length} events`), element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows)));
    }

    // --- sound ---

    async _load(turn, asked) {
      const kinds = turn.sounds.map((sound) => sound.kind);
      const heard = [OURS, THEIRS].map((order) => order.find((kind) => kinds.includes(kind)));
      const sorted = [...turn.sounds].sort((one, other) => review.place(one.kind) - review.place(other.kind));
      for (const about of sorted) {
        try {
          const sound = await review.decode(await review.source.sound(turn.id, about.number));
          if (asked !== this._asked) return;
          this._add(turn, about, sound, heard.includes(about.kind));
        } catch (problem) {
          if (asked !== this._asked) return;
          this._note(`Not drawn: ${about.name}. ${problem.message}`);
        }
      }
      if (turn.sounds.length) this.state.textContent = "";
      this.button.disabled = !this.player.canPlay;
      this.timeline.draw();
    }

    // What is not heard at first is there to be compared with, and smaller.
    _add(turn, about, sound, audible) {
      const number = this.player.tracks.length;
      const ours = review.isOurs(about.kind);
      const box = element("input", { type: "checkbox", checked: audible, onchange: () => this.player.hear(number, box.checked) });
      const gain = review.gain(sound);
      const larger = gain > 1 ? ` · × ${gain.toFixed(gain < 10 ? 1 : 0)}` : "";
      const head = element(
        "div",
        { class: "head", title: `${about.name}\n${about.rate || sound.rate} Hz, ${review.bytes(about.bytes)}, begins at ${review.seconds(about.start)}${gain > 1 ? `\nso soft that it is drawn ${larger.slice(3)}` : ""}` },
        element("strong", {}, review.sound(about.kind)),
        element("span", { class: "kind" }, `${about.kind} · ${review.seconds(sound.seconds, 1)}${larger}`),
        element("label", { class: "hear" }, box, element("kbd", {}, String(number + 1)), "hear"),
      );
      this.timeline.addTrack({ sound, start: about.start, ours, gain, small: !audible }, head);
      this.player.add({ sound, start: about.start, audible });
    }

    _jump(seconds) {
      this._seek(seconds);
      this.timeline.element.scrollIntoView({ block: "nearest" });
    }

    _seek(seconds) {
      this.player.seek(seconds);
      this.timeline.reveal(seconds);
    }

    _moved(seconds, playing) {
      this.timeline.moveTo(seconds);
      if (playing) this.timeline.reveal(seconds);
      this.clock.textContent = review.seconds(seconds);
      this.button.classList.toggle("playing", playing);
      this.button.setAttribute("aria-label", playing ? "Pause" : "Play");
    }

    _complain(problem) {
      this.place.replaceChildren(element("p", { class: "empty bad", role: "alert" }, problem.message));
    }
  };
})();
