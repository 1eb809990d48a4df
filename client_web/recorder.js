// The button that records what is live on the page.

import { request } from "./request.js";

const PACE = 1_000; // milliseconds between two looks at what the server does
const NO_FOLDER =
  "This server has no folder for recordings. Who runs it starts it with --record FOLDER.";
const NOT_ALLOWED =
  "Only who runs this server may record: open the page with the operator's token, as /?token=…";

const STANDS_STILL = "Recording stands still, and goes on by itself once this is mended:";
const HEARD = { waiting: "Recording.", recording: "Recording.", "": "The recording has ended." };

/** Seconds as a person reads them: 0:07, 12:34, 1:02:03. */
export function clock(seconds) {
  const whole = Math.floor(seconds);
  const [hours, ...rest] = [whole / 3600, (whole / 60) % 60, whole % 60].map(Math.floor);
  const shown = hours ? [hours, ...rest] : rest;
  return shown.map((part, index) => (index ? String(part).padStart(2, "0") : part)).join(":");
}

/** Calls `announce(text)` with what somebody who does not see the button should hear. */
export class Recorder {
  #button = document.querySelector("#record");
  #word = document.querySelector("#record-word");
  #unseen = document.querySelector("#record-unseen");
  #time = document.querySelector("#record-time");
  #session;
  #recordings;
  #toasts;
  #announce;
  #path = null; // of what is live on the page
  #state = null; // what the server tells of its recording; null: there is none
  #refusal = ""; // why it cannot be recorded
  #isAsking = false;
  #turn = 0; // what was told before something was asked for may be over
  #began = 0; // performance.now() when the recording began, pauses left out
  #timer = 0;

  /** recordings: Recordings, which keeps what was recorded here. */
  constructor({ session, recordings, toasts, announce }) {
    this.#session = session;
    this.#recordings = recordings;
    this.#toasts = toasts;
    this.#announce = announce;
    this.#button.addEventListener("click", () => this.toggle());
    session.addEventListener("change", ({ detail }) => this.#change(detail.state));
    setInterval(() => this.#tick(), 250);
  }

  /** Begin to record, or stop. */
  toggle() {
    if (this.#path === null || this.#isAsking) return;
    if (this.#refusal) this.#toasts.error(this.#refusal);
    else if (this.#state === null) this.#start(this.#path);
    else this.#stop(this.#path);
  }

  async #start(path) {
    const { body, error } = await this.#ask("POST", path);
    if (body.downloads) this.#recordings.add(path, body.downloads);
    if (error) this.#toasts.error(`It cannot be recorded: ${error}`);
    else if (path === this.#path) this.#tell(body);
  }

  async #stop(path) {
    const isOurs = this.#recordings.goesOn(path);
    if (!isOurs && !confirm("This recording was begun elsewhere. Stop it all the same?")) return;
    const { error } = await this.#ask("DELETE", path);
    if (error) this.#toasts.error(error);
    else if (path === this.#path) this.#tell(null);
    if (!error && !isOurs) this.#toasts.note("It has ended. Its files are in the server's folder.");
  }

  async #ask(method, path) {
    this.#isAsking = true;
    this.#turn++;
    const answer = await request(method, path);
    this.#turn++;
    this.#isAsking = false;
    return answer;
  }

  #change(state) {
    const ends = this.#state !== null && this.#path.startsWith("sessions/");
    if (ends && state === "lost") {
      this.#toasts.note("The recording ended with the connection. Press Record to begin another.");
    } else if (ends) {
      this.#announce(HEARD[""]);
    }
    this.#path = state === "live" ? `${this.#session.place}/recording` : null;
    this.#refuse("");
    this.#show(null);
    clearTimeout(this.#timer);
    if (this.#path !== null) this.#look(this.#path);
  }

  async #look(path) {
    const turn = this.#turn;
    const { body, status } = await request("GET", path);
    if (path !== this.#path) return;
    this.#timer = setTimeout(() => this.#look(path), PACE);
    if (turn !== this.#turn) return;
    if (status === 200) {
      this.#refuse(body.allowed ? (body.possible ? "" : NO_FOLDER) : NOT_ALLOWED);
      this.#tell(body.recording);
    } else if (status === 401) {
      this.#refuse(NOT_ALLOWED);
    }
  }

  #refuse(why) {
    this.#refusal = why;
    this.#button.disabled = this.#path === null;
    this.#button.setAttribute("aria-disabled", String(Boolean(why)));
    this.#button.title = why || "Record what is shown, with its sound, or stop (R)";
  }

  /** Show it, and say what has changed to who does not see it. */
  #tell(state) {
    const before = this.#state?.state ?? "";
    this.#show(state);
    const now = state?.state ?? "";
    if (now === before) return;
    if (now === "stopped") this.#toasts.error(`${STANDS_STILL} ${state.reason}.`);
    else this.#announce(HEARD[now]);
  }

  #show(state) {
    const ended = this.#state !== null && state === null;
    this.#state = state;
    this.#button.dataset.recording = state?.state ?? "";
    this.#word.textContent = state ? "Stop" : "Record";
    this.#unseen.textContent = state ? " recording" : "";
    const began = performance.now() - 1_000 * (state?.total_seconds ?? 0);
    // Answers take now longer, now shorter: a second that was shown is not taken back.
    const isOther = Math.abs(began - this.#began) > PACE;
    if (isOther || state?.state !== "recording") this.#began = began;
    this.#tick();
    if (ended) this.#recordings.look();
  }

  #tick() {
    if (this.#state?.state === "recording") {
      this.#time.textContent = clock((performance.now() - this.#began) / 1_000);
    } else {
      this.#time.textContent = this.#state && clock(this.#state.total_seconds);
    }
  }
}
