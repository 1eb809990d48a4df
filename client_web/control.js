// Requests and answers on the control channel (docs/protocol.md), over any RTCDataChannel.

const ANSWER_TIMEOUT = 10_000;
const MOST_PENDING = 64;

/** The server refused a request; `code` is its error code. */
export class RefusedError extends Error {
  constructor(message, code) {
    super(message);
    this.code = code;
  }
}

/**
 * Dispatches "hello", "state", "stats" and "camera" (detail: the message), "refused" (detail: RefusedError,
 * for an error that answers no request) and "closed".
 */
export class Control extends EventTarget {
  #channel;
  #next = 1;
  #pending = new Map();

  constructor(channel) {
    super();
    this.#channel = channel;
    channel.addEventListener("message", (event) => this.#receive(event.data));
    channel.addEventListener("close", () => {
      this.#failAll("The connection was closed.");
      this.dispatchEvent(new Event("closed"));
    });
  }

  /** Send a request; resolves to the server's "ok", rejects with RefusedError or Error. */
  request(message) {
    if (this.#channel.readyState !== "open") {
      return Promise.reject(new Error("Not connected."));
    }
    if (this.#pending.size >= MOST_PENDING) {
      return Promise.reject(new Error("The server is busy; try again in a moment."));
    }
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#pending.delete(id);
        reject(new Error("The server did not answer."));
      }, ANSWER_TIMEOUT);
      this.#pending.set(id, { resolve, reject, timer });
      this.#channel.send(JSON.stringify({ ...message, id }));
    });
  }

  #receive(data) {
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      return; // not ours to judge: a newer server may send binary
    }
    if (message.type === "ok" || message.type === "error") {
      this.#answer(message);
    } else {
      this.dispatchEvent(new CustomEvent(message.type, { detail: message }));
    }
  }

  #answer(message) {
    const pending = this.#pending.get(message.id);
    const refusal = message.type === "error" && new RefusedError(message.message, message.code);
    if (pending) {
      this.#pending.delete(message.id);
      clearTimeout(pending.timer);
      if (refusal) pending.reject(refusal);
      else pending.resolve(message);
    } else if (refusal) {
      this.dispatchEvent(new CustomEvent("refused", { detail: refusal }));
    }
  }

  #failAll(text) {
    for (const { reject, timer } of this.#pending.values()) {
      clearTimeout(timer);
      reject(new Error(text));
    }
    this.#pending.clear();
  }
}
