// The session as the page sees it: keeps a connection alive, and opens a new one when it is lost.

import { Connection } from "./connection.js";
import { RefusedError } from "./control.js";

/** Milliseconds before try number `attempt` (from 0) to connect again. */
export function backoff(attempt) {
  return Math.min(15_000, 1_000 * 2 ** attempt);
}

/**
 * `state` is idle, connecting, live or lost. Dispatches "change" (detail: {state, reason, retryAt},
 * retryAt in performance.now() milliseconds or null), and of the live connection "hello", "state",
 * "stats", "camera" and "refused".
 */
export class Session extends EventTarget {
  state = "idle";
  #connection = null;
  #sources;
  #attempt = 0;
  #timer = 0;

  /** sources: their `video` track, and `audio` track or null, are sent; or the server's camera
   * that they name as `remote` is watched. */
  constructor(sources) {
    super();
    this.#sources = sources;
  }

  start() {
    this.#attempt = 0;
    this.#connect();
  }

  stop() {
    clearTimeout(this.#timer);
    this.#connection?.close();
    this.#connection = null;
    this.#change("idle");
  }

  /** Try at once instead of waiting for the next turn. */
  reconnect() {
    if (this.state === "lost") this.#connect();
  }

  get id() {
    return this.#connection?.session ?? null;
  }

  /** Where the server keeps what is live here, as a path of its own. */
  get place() {
    const { remote } = this.#sources;
    const of = remote === null ? ["sessions", this.id] : ["cameras", remote];
    return of.map(encodeURIComponent).join("/");
  }

  get stream() {
    return this.#connection?.stream ?? null;
  }

  request(message) {
    if (this.state !== "live") return Promise.reject(new Error("Not connected."));
    return this.#connection.control.request(message);
  }

  /** Send the sources' present tracks, in the same session. */
  async replaceVideo() {
    await this.#connection?.replaceVideo(this.#sources.video);
  }

  async replaceAudio() {
    await this.#connection?.replaceAudio(this.#sources.audio);
  }

  async getStats() {
    return this.state === "live" ? this.#connection.getStats() : new Map();
  }

  async #connect() {
    clearTimeout(this.#timer);
    const connection = new Connection(this.#sources);
    this.#connection = connection;
    this.#change("connecting");
    for (const type of ["hello", "state", "stats", "camera", "refused"]) {
      connection.control.addEventListener(type, ({ detail }) => {
        if (connection !== this.#connection) return;
        if (type === "hello") this.#change("live");
        this.dispatchEvent(new CustomEvent(type, { detail }));
      });
    }
    connection.addEventListener("gone", ({ detail }) => {
      if (connection === this.#connection) this.#lost(detail);
    });
    try {
      await connection.open();
      this.#attempt = 0;
    } catch (error) {
      if (connection !== this.#connection) return;
      const final = error instanceof RefusedError && !error.temporary;
      this.#lost(error.message, !final);
    }
  }

  #lost(reason, retry = true) {
    this.#connection = null;
    const wait = backoff(this.#attempt++);
    if (retry) this.#timer = setTimeout(() => this.#connect(), wait);
    this.#change("lost", reason, retry ? performance.now() + wait : null);
  }

  #change(state, reason = "", retryAt = null) {
    this.state = state;
    this.dispatchEvent(new CustomEvent("change", { detail: { state, reason, retryAt } }));
  }
}
