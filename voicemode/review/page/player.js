// Plays the tracks of a turn together, each at its place on the axis.
"use strict";

(() => {
  review.Player = class {
    // `onmove(seconds, playing)` is called with every picture while it plays, and at each change.
    constructor(from, to, onmove) {
      this.from = from;
      this.to = to;
      this.tracks = [];
      this.onmove = onmove;
      this.playing = false;
      this._at = 0;
      this._began = 0;
      this._context = null;
      this._sources = [];
    }

    add(track) {
      this.tracks.push({ ...track, buffer: null, gain: null });
    }

    get position() {
      return this.playing ? this._at + Math.max(this._context.currentTime - this._began, 0) : this._at;
    }

    get canPlay() {
      return this.tracks.length > 0;
    }

    toggle() {
      if (this.playing) this.pause();
      else this.play();
    }

    // A context may be made only once somebody has pressed something.
    play() {
      if (!this.canPlay) return;
      this._context = this._context || new AudioContext();
      this._context.resume();
      if (this._at >= this._end() - 0.02 || this._at < this.from) this._at = this._start();
      this._began = this._context.currentTime + 0.03;
      this._sources = this.tracks.map((track) => this._begin(track)).filter((source) => source !== null);
      this.playing = true;
      this._tick();
    }

    pause() {
      this._at = this.position;
      this._silence();
      this.onmove(this._at, false);
    }

    seek(seconds) {
      const playing = this.playing;
      this._silence();
      this._at = Math.min(Math.max(seconds, this.from), this.to);
      if (playing) this.play();
      else this.onmove(this._at, false);
    }

    hear(number, audible) {
      const track = this.tracks[number];
      track.audible = audible;
      if (track.gain !== null) track.gain.gain.value = audible ? 1 : 0;
    }

    close() {
      this._silence();
      if (this._context !== null) this._context.close();
      this._context = null;
    }

    _start() {
      return Math.min(...this.tracks.map((track) => track.start));
    }

    _end() {
      return Math.max(...this.tracks.map((track) => track.start + track.sound.seconds));
    }

    _begin(track) {
      const { sound, start } = track;
      const into = this._at - start;
      if (into >= sound.seconds || sound.seconds === 0) return null;
      if (track.buffer === null) {
        track.buffer = this._context.createBuffer(sound.channels.length, sound.channels[0].length, sound.rate);
        sound.channels.forEach((samples, channel) => track.buffer.copyToChannel(samples, channel));
        track.gain = this._context.createGain();
        track.gain.connect(this._context.destination);
      }
      track.gain.gain.value = track.audible ? 1 : 0;
      const source = this._context.createBufferSource();
      source.buffer = track.buffer;
      source.connect(track.gain);
      source.start(this._began + Math.max(-into, 0), Math.max(into, 0));
      return source;
    }

    _silence() {
      this.playing = false;
      for (const source of this._sources) {
        source.stop();
        source.disconnect();
      }
      this._sources = [];
    }

    _tick() {
      if (!this.playing) return;
      const now = this.position;
      if (now >= this._end()) {
        this._silence();
        this._at = this._end();
        this.onmove(this._at, false);
        return;
      }
      this.onmove(now, true);
      requestAnimationFrame(() => this._tick());
    }
  };
})();
