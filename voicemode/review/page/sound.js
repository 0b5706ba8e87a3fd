// Samples out of files, and what is drawn of them: peaks and spectra.
"use strict";

(() => {
  const PCM = 1;
  const EXTENSIBLE = 0xfffe;

  const DECODED_RATE = 24000;

  // → { rate, channels: [Float32Array], seconds, peak }. What is no WAV is decoded by the browser, if it can.
  review.decode = async (buffer) => {
    const sound = isWav(buffer) ? fromWav(buffer) : await compressed(buffer);
    return { ...sound, peak: peakOf(sound.channels[0]) };
  };

  const word = (buffer, at) => String.fromCharCode(...new Uint8Array(buffer, at, 4));

  const isWav = (buffer) => buffer.byteLength >= 12 && word(buffer, 0) === "RIFF" && word(buffer, 8) === "WAVE";

  const compressed = async (buffer) => {
    let decoded;
    try {
      decoded = await new OfflineAudioContext(1, 1, DECODED_RATE).decodeAudioData(buffer);
    } catch {
      throw new Error("This browser cannot decode it.");
    }
    const channels = Array.from({ length: decoded.numberOfChannels }, (_, number) => decoded.getChannelData(number));
    return { rate: decoded.sampleRate, channels, seconds: decoded.duration };
  };

  // By how much a soft sound is drawn larger, so that its shape is seen.
  const FULL = 0.9;
  const LARGEST = 20;
  review.gain = (sound) => (sound.peak > FULL / 2 ? 1 : Math.min(FULL / Math.max(sound.peak, 1e-6), LARGEST));

  const peakOf = (samples) => {
    let most = 0;
    for (const value of samples) most = Math.max(most, Math.abs(value));
    return most;
  };

  // A header that promises more than there is ends early.
  const fromWav = (buffer) => {
    const view = new DataView(buffer);
    let format = null;
    for (let at = 12; at + 8 <= buffer.byteLength; ) {
      const name = word(buffer, at);
      const size = Math.min(view.getUint32(at + 4, true), buffer.byteLength - at - 8);
      if (name === "fmt ") {
        const kind = view.getUint16(at + 8, true);
        format = { rate: view.getUint32(at + 12, true), channels: view.getUint16(at + 10, true) };
        if ((kind !== PCM && kind !== EXTENSIBLE) || view.getUint16(at + 22, true) !== 16) {
          throw new Error("Only 16-bit WAVs are drawn.");
        }
      } else if (name === "data") {
        if (format === null) throw new Error("This WAV has no format.");
        return samplesOf(new DataView(buffer, at + 8, size), format);
      }
      at += 8 + size + (size % 2);
    }
    throw new Error("This WAV has no sound.");
  };

  const samplesOf = (data, { rate, channels }) => {
    const count = Math.floor(data.byteLength / 2 / channels);
    const made = Array.from({ length: channels }, () => new Float32Array(count));
    for (let index = 0, at = 0; index < count; index += 1) {
      for (let channel = 0; channel < channels; channel += 1, at += 2) {
        made[channel][index] = data.getInt16(at, true) / 32768;
      }
    }
    return { rate, channels: made, seconds: count / rate };
  };

  // The lowest and highest sample of each of `columns` equal parts from second `from` to `to`; nothing where there is no
  // sound.
  review.peaks = (sound, from, to, columns) => {
    const samples = sound.channels[0];
    const low = new Float32Array(columns);
    const high = new Float32Array(columns);
    const step = ((to - from) * sound.rate) / columns;
    for (let column = 0; column < columns; column += 1) {
      const start = Math.max(Math.floor(from * sound.rate + column * step), 0);
      const end = Math.min(Math.max(Math.ceil(from * sound.rate + (column + 1) * step), start + 1), samples.length);
      let least = 0;
      let most = 0;
      for (let index = start; index < end; index += 1) {
        const value = samples[index];
        if (value < least) least = value;
        else if (value > most) most = value;
      }
      low[column] = least;
      high[column] = most;
    }
    return { low, high };
  };

  const SIZE = 512;
  const BINS = SIZE / 2;
  const shape = Float32Array.from({ length: SIZE }, (_, index) => 0.5 - 0.5 * Math.cos((2 * Math.PI * index) / SIZE));
  const sines = Float32Array.from({ length: BINS }, (_, index) => Math.sin((-2 * Math.PI * index) / SIZE));
  const cosines = Float32Array.from({ length: BINS }, (_, index) => Math.cos((2 * Math.PI * index) / SIZE));
  const turned = Uint16Array.from({ length: SIZE }, (_, index) => {
    let back = 0;
    for (let bit = 1; bit < SIZE; bit <<= 1) back = (back << 1) | (index & bit ? 1 : 0);
    return back;
  });
  const real = new Float32Array(SIZE);
  const imaginary = new Float32Array(SIZE);

  // Decibels of full scale in each of the 256 bands around second `at`, into `levels`.
  review.spectrum = (sound, at, levels) => {
    const samples = sound.channels[0];
    const start = Math.round(at * sound.rate) - SIZE / 2;
    for (let index = 0; index < SIZE; index += 1) {
      real[turned[index]] = (samples[start + index] || 0) * shape[index];
    }
    imaginary.fill(0);
    for (let half = 1; half < SIZE; half *= 2) {
      const stride = SIZE / (2 * half);
      for (let base = 0; base < SIZE; base += 2 * half) {
        for (let index = 0; index < half; index += 1) {
          const cosine = cosines[index * stride];
          const sine = sines[index * stride];
          const lower = base + index;
          const upper = lower + half;
          const a = real[upper] * cosine - imaginary[upper] * sine;
          const b = real[upper] * sine + imaginary[upper] * cosine;
          real[upper] = real[lower] - a;
          imaginary[upper] = imaginary[lower] - b;
          real[lower] += a;
          imaginary[lower] += b;
        }
      }
    }
    for (let band = 0; band < BINS; band += 1) {
      const power = (real[band] * real[band] + imaginary[band] * imaginary[band]) / (SIZE * SIZE * 0.0625);
      levels[band] = 10 * Math.log10(power + 1e-12);
    }
  };

  review.BANDS = BINS;
})();
