// Where the stream on the page is published to as well: shown, added to and ended.

import { request } from "./request.js";

const PACE = 1_500; // milliseconds between two looks at what the targets do
const NOT_ALLOWED =
  "Only who runs this server may send its cameras elsewhere, with the operator's token.";

/** What a person should read of a publication's state. */
export function explain({ state, reason, retry_in, sound }) {
  if (state === "connecting") return "Connecting …";
  if (state === "live") return sound ? "Live, with sound" : "Live";
  const again = retry_in === null ? "" : `; trying again in ${Math.max(Math.ceil(retry_in), 1)} s`;
  return `${state === "failed" ? "Failed" : "Waiting"}: ${reason}${again}`;
}

/** Calls `announce(text)` with what somebody who does not see the list should hear. */
export class Publications {
  #panel = document.querySelector("#publications-panel");
  #hint = document.querySelector("#publications-hint");
  #form = document.querySelector("#publish-form");
  #target = document.querySelector("#target-url");
  #button = document.querySelector("#publish");
  #error = document.querySelector("#publish-error");
  #list = document.querySelector("#publications");
  #rows = new Map();
  #session;
  #sources;
  #announce;
  #path = null; // of what is live on the page
  #timer = 0;

  constructor({ session, sources, announce }) {
    this.#session = session;
    this.#sources = sources;
    this.#announce = announce;
    session.addEventListener("change", ({ detail }) => this.#change(detail.state === "live"));
    this.#target.addEventListener("input", () => this.#complain(""));
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#add(this.#target.value.trim());
    });
  }

  #change(live) {
    clearTimeout(this.#timer);
    const { remote } = this.#sources;
    this.#path = live ? `${this.#session.place}/publications` : null;
    this.#panel.hidden = !live;
    this.#form.hidden = false;
    this.#hint.textContent =
      remote === null
        ? "Send this picture to a server or a service as well, as long as it runs here."
        : `Send the picture of camera ${remote} elsewhere as well, also when nobody watches it here.`;
    this.#complain("");
    this.#show([]);
    if (live) this.#look(this.#path);
  }

  async #look(path) {
    clearTimeout(this.#timer);
    const { body } = await request("GET", path);
    if (path !== this.#path) return;
    if (body.publications) this.#show(body.publications);
    if (body.allowed === false) this.#forbid();
    clearTimeout(this.#timer); // a look that was asked for meanwhile has set its own
    this.#timer = setTimeout(() => this.#look(path), PACE);
  }

  /** What there is can be seen, and neither added to nor stopped. */
  #forbid() {
    this.#form.hidden = true;
    this.#hint.textContent = NOT_ALLOWED;
    for (const { item } of this.#rows.values()) item.querySelector("button").hidden = true;
  }

  async #add(url) {
    if (!url) return this.#complain("Where to? Enter an address such as rtmp://host/app/key.");
    const path = this.#path;
    this.#button.disabled = true;
    const { error } = await request("POST", path, { url });
    this.#button.disabled = false;
    if (path !== this.#path) return;
    if (error) return this.#complain(error);
    this.#target.value = ""; // it may hold a password, and is shown without
    this.#look(path);
  }

  async #remove(id) {
    const path = this.#path;
    const row = this.#rows.get(id);
    if (row.ends) return; // its button stays, so that it keeps the focus
    row.ends = true;
    row.state.textContent = "Stopping …";
    const { error, status } = await request("DELETE", `${path}/${id}`);
    if (path !== this.#path) return;
    if (error && status !== 404) {
      row.ends = false;
      this.#complain(error);
    }
    this.#look(path);
  }

  #complain(text) {
    this.#error.hidden = !text;
    this.#error.textContent = text;
    this.#target.setAttribute("aria-invalid", String(Boolean(text)));
    if (text) this.#target.focus();
  }

  #show(publications) {
    const known = new Set(publications.map(({ id }) => id));
    for (const [id, { item }] of this.#rows) {
      if (known.has(id)) continue;
      if (item.contains(document.activeElement)) this.#target.focus();
      item.remove();
      this.#rows.delete(id);
    }
    for (const publication of publications) {
      if (!this.#rows.has(publication.id)) this.#rows.set(publication.id, this.#row(publication));
      this.#fill(this.#rows.get(publication.id), publication);
    }
  }

  #row({ id, url }) {
    const item = document.createElement("li");
    const words = document.createElement("div");
    const address = document.createElement("span");
    address.className = "address";
    address.textContent = address.title = url;
    const state = document.createElement("span");
    state.className = "sight";
    words.append(address, state);
    const remove = document.createElement("button");
    remove.type = "button";
    remove.className = "icon";
    remove.textContent = "×";
    remove.title = `Stop publishing to ${url}`;
    remove.setAttribute("aria-label", remove.title);
    remove.addEventListener("click", () => this.#remove(id));
    item.append(words, remove);
    this.#list.append(item);
    return { item, state, ends: false };
  }

  #fill({ item, state, ends }, publication) {
    if (ends) return;
    state.textContent = explain(publication);
    if (item.dataset.state === publication.state) return;
    item.dataset.state = publication.state;
    this.#announce(`${publication.url}: ${explain(publication)}`);
  }
}
