// One WebRTC connection to the server: offered, answered, live, gone. It never comes back to life.

import { ask } from "./access.js";
import { Control, RefusedError } from "./control.js";

const GATHERING_TIMEOUT = 2_000;
const CONNECT_TIMEOUT = 15_000;
const SILENCE = 6_000; // the server sends statistics every second

/** Dispatches "gone" (detail: reason) once, when the connection is lost and not closed by us. */
export class Connection extends EventTarget {
  #peer = new RTCPeerConnection();
  #session = null;
  #closed = false;
  #heard = 0;
  #watchdog = 0;
  #video;
  #audio = null;
  #remote = null;

  /** sources: {video: MediaStreamTrack, audio: MediaStreamTrack or null}, or {remote: name} of a
   * camera of the server's. */
  constructor(sources) {
    super();
    this.stream = new MediaStream();
    this.control = new Control(this.#peer.createDataChannel("control"));
    this.#remote = sources.remote ?? null;
    if (this.#remote !== null) {
      this.#video = this.#add("video", null, "recvonly");
      this.#add("audio", null, "recvonly");
    } else {
      this.#video = this.#add("video", sources.video);
      // Always offered, so that the microphone can be switched on without a new session.
      this.#audio = this.#add("audio", sources.audio);
    }
    this.#peer.addEventListener("connectionstatechange", () => this.#check());
  }

  /** Resolves when the server has said hello; rejects with RefusedError when it says no. */
  async open() {
    try {
      await this.#handshake();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  get session() {
    return this.#session;
  }

  replaceVideo(track) {
    return this.#video.sender.replaceTrack(track);
  }

  replaceAudio(track) {
    return this.#audio?.sender.replaceTrack(track);
  }

  getStats() {
    return this.#peer.getStats();
  }

  close() {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#watchdog);
    this.#peer.close();
    this.#endSession();
  }

  #endSession() {
    if (!this.#session) return;
    const url = `rtc/${encodeURIComponent(this.#session)}`;
    ask(url, { method: "DELETE", keepalive: true }).catch(() => {}); // it ends by itself
  }

  #add(kind, track, direction = "sendrecv") {
    const transceiver = this.#peer.addTransceiver(track ?? kind, { direction });
    // Live video: show each picture when it comes instead of smoothing over a buffer.
    if ("jitterBufferTarget" in transceiver.receiver) transceiver.receiver.jitterBufferTarget = 0;
    this.stream.addTrack(transceiver.receiver.track);
    return transceiver;
  }

  async #handshake() {
    const hello = new Promise((resolve) => {
      this.control.addEventListener("hello", resolve, { once: true });
    });
    this.#peer.setConfiguration({ iceServers: await iceServers() });
    await this.#peer.setLocalDescription(await this.#peer.createOffer());
    await this.#gathered();
    const answer = await this.#offer(this.#peer.localDescription);
    this.#session = answer.session;
    if (this.#closed) {
      this.#endSession();
      throw new Error("Stopped.");
    }
    await this.#peer.setRemoteDescription({ type: "answer", sdp: answer.sdp });
    await within(CONNECT_TIMEOUT, hello, "No media path to the server was found.");
    if (this.#closed) throw new Error("Stopped.");
    this.#watch();
  }

  #gathered() {
    if (this.#peer.iceGatheringState === "complete") return Promise.resolve();
    return new Promise((resolve) => {
      setTimeout(resolve, GATHERING_TIMEOUT); // go with the candidates found so far
      this.#peer.addEventListener("icegatheringstatechange", () => {
        if (this.#peer.iceGatheringState === "complete") resolve();
      });
    });
  }

  async #offer({ type, sdp }) {
    let response;
    try {
      response = await ask("rtc", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ type, sdp, camera: this.#remote ?? undefined }),
        signal: AbortSignal.timeout(CONNECT_TIMEOUT),
      });
    } catch {
      throw new Error("The server cannot be reached.");
    }
    const body = await response.json().catch(() => ({}));
    if (!response.ok) {
      const text = body.error?.message ?? `The server answered ${response.status}.`;
      const refused = new RefusedError(text, body.error?.code);
      refused.temporary = response.status >= 500;
      throw refused;
    }
    return body;
  }

  #watch() {
    this.#heard = performance.now();
    this.control.addEventListener("stats", () => (this.#heard = performance.now()));
    this.#watchdog = setInterval(() => {
      if (performance.now() - this.#heard > SILENCE) this.#gone("The server went silent.");
    }, 1_000);
    this.control.addEventListener("closed", () => this.#gone("The server ended the session."));
    this.#check();
  }

  #check() {
    if (this.#peer.connectionState === "failed") this.#gone("The media path broke.");
  }

  #gone(reason) {
    if (this.#closed) return;
    this.close();
    this.dispatchEvent(new CustomEvent("gone", { detail: reason }));
  }
}

/** STUN and TURN servers that the operator has set; none if the server does not say. */
async function iceServers() {
  try {
    const response = await ask("ice-servers", { signal: AbortSignal.timeout(GATHERING_TIMEOUT) });
    return (await response.json()).iceServers ?? [];
  } catch {
    return [];
  }
}

function within(milliseconds, promise, text) {
  let timer;
  const timeout = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(text)), milliseconds);
  });
  return Promise.race([promise, timeout]).finally(() => clearTimeout(timer));
}
