// One time axis: ruler, spans of work, moments, and the sound of every track with its spectrum.
"use strict";

(() => {
  const { element } = review;
  const WAVE = 60;
  const SPECTRUM = 76;
  const SMALL = 0.6;
  const HIGHEST = 8000;
  const QUIET = -92;
  const LOUD = -28;
  const SLICE_MS = 8;
  const LABEL = 19;
  const LANES = [
    ["call", "call"],
    ["server", "server"],
    ["loudspeaker", "loudspeaker"],
    ["microphone", "microphone"],
    ["recogniser", "recogniser"],
  ];

  review.Timeline = class {
    // `turn` is all of a turn; `onseek(seconds)` is told where somebody wants to be.
    constructor(turn, onseek) {
      this.turn = turn;
      this.tracks = [];
      this.onseek = onseek;
      const begins = Math.min(0, ...turn.sounds.map((sound) => sound.start));
      const ends = Math.max(turn.length, ...turn.sounds.map((sound) => sound.start + sound.seconds));
      const margin = Math.max((ends - begins) * 0.015, 0.05);
      this.all = { from: begins - margin, to: ends + margin };
      this.view = { ...this.all };
      this.drawing = 0;
      this.position = 0;
      this._build();
      this._watched = new ResizeObserver(() => this.draw());
      this._watched.observe(this.plot);
    }

    _build() {
      this.labels = element("div", { class: "labels" });
      this.ruler = element("div", { class: "ruler" });
      this.over = element("div", { class: "over" });
      this.cursor = element("div", { class: "cursor" }, element("span"));
      this.plot = element("div", { class: "plot-width" });
      this.rows = element("div", { class: "rows" });
      this.element = element(
        "div",
        {
          class: "timeline",
          role: "slider",
          tabindex: "0",
          "aria-label": "Position in the turn",
          "aria-valuemin": this.all.from.toFixed(2),
          "aria-valuemax": this.all.to.toFixed(2),
        },
        this.plot,
        this.labels,
        this.ruler,
        this.rows,
        this.over,
        element("div", { class: "over above" }, this.cursor),
      );
      this.element.addEventListener("pointerdown", (event) => this._grab(event));
      this.element.addEventListener("wheel", (event) => this._wheel(event), { passive: false });
      for (const [lane, name] of LANES) {
        const spans = this.turn.spans.filter((span) => span.lane === lane);
        if (spans.length) this.rows.append(this._lane(name, spans));
      }
    }

    close() {
      this._watched.disconnect();
      this.drawing += 1;
    }

    addTrack(track, head) {
      const wave = element("canvas", { class: "wave" });
      const spectrum = element("canvas", { class: "spectrum" });
      const box = element("div", { class: "strip" }, wave, spectrum);
      const size = track.small ? " small" : "";
      this.rows.append(element("div", { class: `row track ${track.ours ? "ours" : "theirs"}${size}` }, head, box));
      this.tracks.push({ ...track, wave, spectrum });
    }

    // --- where ---

    x(seconds) {
      return ((seconds - this.view.from) / (this.view.to - this.view.from)) * this.width;
    }

    zoom(factor, around = this.position) {
      const { from, to } = this.view;
      const centre = around >= from && around <= to ? around : (from + to) / 2;
      const length = Math.min(Math.max((to - from) * factor, 0.05), this.all.to - this.all.from);
      const share = (centre - from) / (to - from);
      this._show(centre - share * length, length);
    }

    fit() {
      this.view = { ...this.all };
      this.draw();
    }

    pan(seconds) {
      this._show(this.view.from + seconds, this.view.to - this.view.from);
    }

    reveal(seconds) {
      const { from, to } = this.view;
      if (seconds < from || seconds > to) this._show(seconds - (to - from) * 0.1, to - from);
    }

    _show(from, length) {
      const start = Math.min(Math.max(from, this.all.from), this.all.to - length);
      this.view = { from: start, to: start + length };
      this.draw();
    }

    moveTo(seconds) {
      this.position = seconds;
      const x = this.x(seconds);
      this.cursor.style.transform = `translateX(${x.toFixed(1)}px)`;
      this.cursor.classList.toggle("out", x < 0 || x > this.width);
      this.cursor.firstChild.textContent = seconds.toFixed(2);
      this.element.setAttribute("aria-valuenow", seconds.toFixed(3));
      this.element.setAttribute("aria-valuetext", `${seconds.toFixed(2)} seconds`);
    }

    _grab(event) {
      if (event.button !== 0 || event.target.closest("button, label, input, .head")) return;
      const left = this.plot.getBoundingClientRect().left;
      const seek = (at) => {
        const seconds = this.view.from + ((at.clientX - left) / this.width) * (this.view.to - this.view.from);
        this.onseek(Math.min(Math.max(seconds, this.all.from), this.all.to));
      };
      seek(event);
      const stop = new AbortController();
      window.addEventListener("pointermove", seek, { signal: stop.signal });
      window.addEventListener("pointerup", () => stop.abort(), { signal: stop.signal });
    }

    _wheel(event) {
      const sideways = event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY);
      if (!event.ctrlKey && !event.metaKey && !sideways) return;
      event.preventDefault();
      const length = this.view.to - this.view.from;
      if (sideways) {
        this.pan(((event.deltaX || event.deltaY) / this.width) * length);
        return;
      }
      const left = this.plot.getBoundingClientRect().left;
      this.zoom(Math.exp(event.deltaY / 300), this.view.from + ((event.clientX - left) / this.width) * length);
    }

    // --- how it looks ---

    draw() {
      this.drawing += 1;
      delete this.element.dataset.drawn;
      this.width = this.plot.clientWidth;
      if (!this.width) return; // Out of sight.
      this._drawRuler();
      this._drawMoments();
      for (const bar of this.rows.querySelectorAll(".bar")) this._placeBar(bar);
      for (const track of this.tracks) this._drawWave(track);
      this._drawSpectra(this.drawing);
      this.moveTo(this.position);
    }

    _lane(name, spans) {
      const strip = element("div", { class: "strip" });
      const ends = [];
      for (const span of spans) {
        // Pieces are asked for side by side: each has a line of its own.
        let line = ends.findIndex((end) => end <= span.start + 1e-6);
        if (line < 0) line = ends.length;
        ends[line] = span.end === null ? Infinity : span.end;
        const length = span.end === null ? "no end told" : review.seconds(span.end - span.start);
        const bar = element(
          "div",
          { class: `bar ${span.level} ${span.lane}`, title: `${span.name}: ${length}\n${span.about}` },
          span.name.replace(/^piece 1: /, ""),
          element("span", { class: "length" }, span.end === null ? "" : ` ${review.short(span.end - span.start)}`),
        );
        bar.span = span;
        bar.style.top = `${line * 22 + 2}px`;
        strip.append(bar);
      }
      strip.style.height = `${ends.length * 22 + 2}px`;
      return element("div", { class: "row lane" }, element("div", { class: "head" }, name), strip);
    }

    _placeBar(bar) {
      const { start, end } = bar.span;
      const left = Math.max(this.x(start), -4);
      const right = Math.min(this.x(end === null ? this.all.to : end), this.width + 4);
      bar.hidden = right < 0 || left > this.width;
      bar.style.left = `${left}px`;
      bar.style.width = `${Math.max(right - left, 2)}px`;
      bar.classList.toggle("thin", right - left < 34);
    }

    _drawRuler() {
      const length = this.view.to - this.view.from;
      const least = (length / this.width) * 76;
      const step = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120].find((each) => each >= least) || 300;
      const ticks = [];
      const lines = [];
      for (let at = Math.ceil(this.view.from / step) * step; at <= this.view.to; at += step) {
        const tick = element("span", {}, `${Number(at.toFixed(2))} s`);
        tick.style.left = `${this.x(at)}px`;
        ticks.push(tick);
        const line = element("i", { class: Math.abs(at) < 1e-9 ? "grid zero" : "grid" });
        line.style.left = `${this.x(at)}px`;
        lines.push(line);
      }
      this.ruler.replaceChildren(...ticks);
      for (const old of this.over.querySelectorAll(".grid")) old.remove();
      this.over.prepend(...lines);
    }

    _drawMoments() {
      const ends = [];
      const labels = [];
      const lines = [];
      for (const moment of this.turn.moments) {
        const x = this.x(moment.at);
        if (x < -1 || x > this.width + 1) continue;
        const width = moment.name.length * 6.4 + 16;
        // At the right edge a label stands before its line.
        const before = x + width > this.width;
        const left = before ? x - width : x;
        let line = ends.findIndex((end) => end <= left);
        if (line < 0) line = ends.length;
        ends[line] = left + width + 3;
        const label = element(
          "button",
          {
            type: "button",
            tabindex: "-1",
            class: `moment ${moment.level}${before ? " before" : ""}`,
            title: `${moment.at.toFixed(3)} s  ${moment.about}`,
            onclick: () => this.onseek(moment.at),
          },
          moment.name,
        );
        if (before) label.style.right = `${this.width - x}px`;
        else label.style.left = `${left}px`;
        label.style.top = `${line * LABEL}px`;
        labels.push(label);
        const mark = element("i", { class: `mark ${moment.level}` });
        mark.style.left = `${x}px`;
        mark.style.top = `${line * LABEL + 8}px`;
        lines.push(mark);
      }
      this.labels.style.height = `${Math.max(ends.length, 1) * LABEL + 3}px`;
      this.labels.replaceChildren(...labels);
      for (const old of this.over.querySelectorAll(".mark")) old.remove();
      this.over.prepend(...lines);
    }

    _canvas(canvas, height) {
      const scale = window.devicePixelRatio || 1;
      canvas.width = Math.round(this.width * scale);
      canvas.height = Math.round(height * scale);
      canvas.style.height = `${height}px`;
      return canvas.getContext("2d");
    }

    _drawWave({ sound, start, ours, gain, small, wave }) {
      const pen = this._canvas(wave, small ? WAVE * SMALL : WAVE);
      const { width, height } = wave;
      const { low, high } = review.peaks(sound, this.view.from - start, this.view.to - start, width);
      const middle = height / 2;
      const first = Math.max(this.x(start), 0) * (width / this.width);
      const last = Math.min(this.x(start + sound.seconds), this.width) * (width / this.width);
      pen.fillStyle = review.colour("line");
      pen.fillRect(first, middle, last - first, 1);
      pen.fillStyle = review.colour(ours ? "ours" : "theirs");
      pen.beginPath();
      for (let column = Math.floor(first); column < last; column += 1) {
        const top = middle - high[column] * gain * middle;
        pen.rect(column, top, 1, Math.max(middle - low[column] * gain * middle - top, 1));
      }
      pen.fill();
    }

    // In slices of some milliseconds, so that the page stays quick however long the turn is.
    _drawSpectra(drawing) {
      const work = [];
      const palette = colours();
      for (const { sound, start, small, spectrum } of this.tracks) {
        const pen = this._canvas(spectrum, small ? SPECTRUM * SMALL : SPECTRUM);
        pen.fillStyle = `rgb(${palette.slice(0, 3).join()})`;
        const first = Math.max(Math.floor(this.x(start)), 0);
        const last = Math.min(Math.ceil(this.x(start + sound.seconds)), this.width);
        if (last > first) work.push({ sound, start, pen, first, last, column: first });
      }
      const levels = new Float32Array(review.BANDS);
      const slice = () => {
        if (drawing !== this.drawing) return;
        const until = performance.now() + SLICE_MS;
        while (work.length && performance.now() < until) {
          const job = work[0];
          const { width, height } = job.pen.canvas;
          const scale = width / this.width;
          const left = Math.round(job.column * scale);
          const right = Math.max(Math.round((job.column + 1) * scale), left + 1);
          review.spectrum(job.sound, this._time(job.column + 0.5) - job.start, levels);
          paint(job.pen, levels, job.sound.rate, palette, left, right - left, height);
          job.column += 1;
          if (job.column >= job.last) work.shift();
        }
        if (work.length) requestAnimationFrame(slice);
        else this.element.dataset.drawn = String(drawing);
      };
      slice();
    }

    _time(x) {
      return this.view.from + (x / this.width) * (this.view.to - this.view.from);
    }
  };

  // In mels from bottom to top: a voice fills the picture.
  const MELS = 2595 * Math.log10(1 + HIGHEST / 700);
  const paint = (pen, levels, rate, palette, left, width, height) => {
    const image = pen.createImageData(width, height);
    for (let row = 0; row < height; row += 1) {
      const hertz = 700 * (10 ** ((((height - 0.5 - row) / height) * MELS) / 2595) - 1);
      const place = (hertz / (rate / 2)) * review.BANDS;
      const band = Math.min(Math.floor(place), review.BANDS - 1);
      const above = Math.min(band + 1, review.BANDS - 1);
      const level = place < review.BANDS ? levels[band] + (levels[above] - levels[band]) * (place - band) : QUIET;
      const value = Math.round(Math.min(Math.max((level - QUIET) / (LOUD - QUIET), 0), 1) * 255) * 3;
      for (let column = 0; column < width; column += 1) {
        const at = (row * width + column) * 4;
        image.data[at] = palette[value];
        image.data[at + 1] = palette[value + 1];
        image.data[at + 2] = palette[value + 2];
        image.data[at + 3] = 255;
      }
    }
    pen.putImageData(image, left, 0);
  };

  // 256 colours between the theme's five.
  const colours = () => {
    const stops = review.colour("heat").split(" ").map((hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)));
    const made = new Uint8Array(256 * 3);
    for (let value = 0; value < 256; value += 1) {
      const place = (value / 255) * (stops.length - 1);
      const stop = Math.min(Math.floor(place), stops.length - 2);
      for (let part = 0; part < 3; part += 1) {
        made[value * 3 + part] = stops[stop][part] + (stops[stop + 1][part] - stops[stop][part]) * (place - stop);
      }
    }
    return made;
  };
})();
