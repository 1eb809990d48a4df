// The strip of figures below the picture: the server's own, and the browser's.

const FIELDS = [
  ["fps_in", "Camera", "fps", "Pictures a second that reach the server"],
  ["fps_out", "Returned", "fps", "Pictures a second that the server sends back"],
  ["fps_shown", "Shown", "fps", "Pictures a second that this browser shows"],
  ["fps_tracker", "Tracker", "fps", "Pictures a second that the model looks at"],
  ["latency", "Latency", "ms", "In the server, plus the round trip on the network"],
  ["mask_age", "Mask age", "ms", "How much older the mask is than the picture under it"],
  ["drops", "Dropped", "", "Pictures left out so far, so that the newest never waits"],
  ["size", "Picture", "", "Size of the pictures in pixels"],
];
const PERIOD = 1_000;

/** The round trip in milliseconds and the browser's frame rate, from a report of RTCPeerConnection.getStats. */
export function browserStats(report) {
  const figures = { round_trip: null, fps_shown: null };
  for (const entry of report.values()) {
    if (entry.type === "candidate-pair" && entry.nominated && entry.currentRoundTripTime != null) {
      figures.round_trip = entry.currentRoundTripTime * 1_000;
    }
    if (entry.type === "inbound-rtp" && entry.kind === "video") {
      figures.fps_shown = entry.framesPerSecond ?? 0;
    }
  }
  return figures;
}

export class Stats {
  #cells = new Map();
  #session;
  #server = null;

  constructor(session) {
    this.#session = session;
    const strip = document.querySelector("#stats");
    for (const [key, name, unit, title] of FIELDS) strip.append(this.#field(key, name, unit, title));
    session.addEventListener("stats", ({ detail }) => (this.#server = detail));
    session.addEventListener("change", ({ detail }) => {
      if (detail.state !== "live") this.#clear();
    });
    setInterval(() => this.#update(), PERIOD);
  }

  async #update() {
    if (this.#session.state !== "live") return;
    const { round_trip, fps_shown } = browserStats(await this.#session.getStats());
    this.#set("fps_shown", fps_shown);
    const server = this.#server;
    if (!server) return;
    for (const key of ["fps_in", "fps_out", "fps_tracker"]) this.#set(key, server[key]);
    this.#set("mask_age", server.mask_age_ms);
    const { latency_ms, drops } = server;
    this.#set("latency", latency_ms == null ? null : latency_ms + (round_trip ?? 0));
    this.#set("drops", drops ? drops.compose + drops.egress : null);
    this.#set("size", server.width ? `${server.width} x ${server.height}` : null);
  }

  #field(key, name, unit, title) {
    const field = document.createElement("div");
    field.title = title;
    const term = document.createElement("dt");
    term.textContent = name;
    const value = document.createElement("dd");
    value.dataset.stat = key;
    this.#cells.set(key, { value, unit });
    field.append(term, value);
    this.#set(key, null);
    return field;
  }

  #set(key, figure) {
    const { value, unit } = this.#cells.get(key);
    const shown = typeof figure === "number" ? Math.round(figure) : figure;
    value.dataset.value = shown ?? "";
    value.textContent = shown == null ? "–" : `${shown} ${unit}`.trim();
  }

  #clear() {
    this.#server = null;
    for (const key of this.#cells.keys()) this.#set(key, null);
  }
}
