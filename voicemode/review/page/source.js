// Where the page has its turns from: the server it came from, or the file that it is.
"use strict";

(() => {
  const AT_ONCE = 80;
  const THEN = 2000;

  const asked = async (address) => {
    const answer = await fetch(address, { credentials: "same-origin" });
    if (!answer.ok) {
      const told = await answer.text();
      throw new Error(answer.status === 401 ? told : `${answer.status}: ${told.slice(0, 200)}`);
    }
    return answer;
  };

  const ofServer = () => ({
    leftOut: "",
    // The first screens at once, the rest while somebody already reads.
    rows: async (start) => (await asked(`data/rows?from=${start}&count=${start ? THEN : AT_ONCE}`)).json(),
    turn: async (id) => (await asked(`data/turn?id=${encodeURIComponent(id)}`)).json(),
    days: async () => (await (await asked("data/days")).json()).days,
    sound: async (id, number) => (await asked(`sound?turn=${encodeURIComponent(id)}&number=${number}`)).arrayBuffer(),
  });

  const ofFile = (data) => ({
    leftOut: data.left_out,
    rows: async () => ({ rows: data.rows, last: true }),
    turn: async (id) => data.turns[id],
    days: async () => data.days,
    sound: async (id, number) => {
      const held = document.querySelector(`script[data-sound="${CSS.escape(`${id}/${number}`)}"]`);
      if (held === null) throw new Error("This sound is not in the file.");
      const text = atob(held.textContent);
      const bytes = new Uint8Array(text.length);
      for (let index = 0; index < text.length; index += 1) bytes[index] = text.charCodeAt(index);
      return bytes.buffer;
    },
  });

  const held = document.getElementById("data");
  review.source = held === null ? ofServer() : ofFile(JSON.parse(held.textContent));
})();
