// What was recorded on this page, to be downloaded: also after the session, and after a reload.

import { request } from "./request.js";

const PACE = 2_000; // milliseconds between two looks at recordings that go on
const KEPT = "segstream-recordings"; // until the tab is closed
const MOST = 8;

/** Bytes as a person reads them. */
export function size(bytes) {
  return bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

export class Recordings {
  #panel = document.querySelector("#recordings-panel");
  #list = document.querySelector("#recordings");
  #kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "[]"); // the newest first
  #told = new Map(); // by `downloads`: what the server told of each last
  #timer = 0;
  #turn = 0;

  constructor() {
    this.look();
  }

  /** Keep a recording that was begun. path: of its resource. downloads: by which it is fetched. */
  add(path, downloads) {
    const [of, name] = path.split("/");
    const title = of === "cameras" ? `Camera ${decodeURIComponent(name)}` : "Your picture";
    const began = new Date().toLocaleTimeString([], { timeStyle: "short" });
    this.#kept.unshift({ path, title: `${title}, ${began}`, downloads });
    this.#kept.length = Math.min(this.#kept.length, MOST);
    this.#keep();
  }

  /** Whether one of that resource was begun here, and has not ended as far as is known. */
  goesOn(path) {
    return this.#kept.some((kept) => kept.path === path && !this.#told.get(kept.downloads)?.ended);
  }

  /** Ask the server what there is, again and again while something goes on. */
  async look() {
    clearTimeout(this.#timer);
    const turn = ++this.#turn;
    const asked = this.#kept.filter(({ downloads }) => !this.#told.get(downloads)?.ended);
    const answers = await Promise.all(
      asked.map(({ downloads }) => request("GET", downloads.slice(1))),
    );
    if (turn !== this.#turn) return; // another look was asked for meanwhile
    for (const [index, { body, status }] of answers.entries()) {
      if (status === 404) this.#kept = this.#kept.filter((kept) => kept !== asked[index]);
      else if (body.files) this.#told.set(asked[index].downloads, body);
    }
    this.#keep();
    this.#show();
    if (asked.length) this.#timer = setTimeout(() => this.look(), PACE);
  }

  #keep() {
    sessionStorage.setItem(KEPT, JSON.stringify(this.#kept));
  }

  #show() {
    const ended = this.#kept.filter(({ downloads }) => this.#told.get(downloads)?.ended);
    this.#panel.hidden = !ended.length;
    const shown = ended.map(({ downloads }) => downloads).join();
    if (this.#list.dataset.shown === shown) return; // a link that has the focus keeps it
    this.#list.dataset.shown = shown;
    this.#list.replaceChildren(
      ...ended.map(({ title, downloads }) => row(title, this.#told.get(downloads))),
    );
  }
}

function row(title, { files }) {
  const item = document.createElement("li");
  const name = document.createElement("span");
  name.textContent = files.length ? title : `${title}: nothing was recorded`;
  item.append(name, ...files.map((file, index) => link(title, file, files.length > 1 && index + 1)));
  return item;
}

function link(title, { url, bytes }, part) {
  const made = document.createElement("a");
  made.className = "button";
  made.href = url.slice(1);
  made.download = "";
  made.textContent = `Download ${part ? `part ${part}, ` : ""}${size(bytes)}`;
  const of = document.createElement("span");
  of.className = "visually-hidden";
  of.textContent = ` (${title})`;
  made.append(of);
  return made;
}
