// The background pictures: those of the server, and those a person brings.

import { ask } from "./access.js";

const LARGEST = 10 * 1024 * 1024; // as the server's limit

/** Dispatches "choose" (detail: name) and "error" (detail: text). */
export class Backgrounds extends EventTarget {
  #list = document.querySelector("#backgrounds");
  #upload = document.querySelector("#upload");
  #names = [];
  #own = new Map(); // name -> {file, url}
  #chosen = null;

  /** session: () => id of the live session, or null. */
  constructor(session) {
    super();
    this.#upload.addEventListener("change", async () => {
      const [file] = this.#upload.files;
      this.#upload.value = ""; // so that the same file can be chosen again
      if (file) await this.#bring(file, session());
    });
  }

  /** names: those of the server's hello. */
  offer(names) {
    this.#names = names;
    this.#render();
  }

  get first() {
    return this.#names[0];
  }

  /** Whether the person brought it, to this session or the one before. */
  isOwn(name) {
    return this.#own.has(name);
  }

  choose(name) {
    if (name === this.#chosen) return;
    this.#chosen = name;
    for (const input of this.#list.querySelectorAll("input")) input.checked = input.value === name;
  }

  /**
   * To a new session, which knows none of the person's own pictures, bring the chosen ones.
   * Returns what each of `names` is called there, or null.
   */
  async bringAgain(names, session) {
    const own = new Map(this.#own);
    for (const { url } of own.values()) URL.revokeObjectURL(url);
    this.#own.clear();
    this.#render();
    const brought = new Map();
    for (const name of new Set(names)) {
      brought.set(name, own.has(name) ? await this.#post(own.get(name).file, session) : name);
    }
    return names.map((name) => brought.get(name));
  }

  async #bring(file, session) {
    const name = await this.#post(file, session);
    if (name) this.dispatchEvent(new CustomEvent("choose", { detail: name }));
  }

  async #post(file, session) {
    try {
      const name = await post(file, session);
      this.#own.set(name, { file, url: URL.createObjectURL(file) });
      this.#render();
      return name;
    } catch (error) {
      this.dispatchEvent(new CustomEvent("error", { detail: error.message }));
      return null;
    }
  }

  #render() {
    const tiles = [];
    for (const name of this.#names) {
      if (!this.#own.has(name)) {
        tiles.push(this.#tile(name, readable(name), `backgrounds/${encodeURIComponent(name)}`));
      }
    }
    for (const [name, { file, url }] of this.#own) tiles.push(this.#tile(name, file.name, url));
    this.#list.replaceChildren(...tiles);
  }

  #tile(name, text, url) {
    const tile = document.createElement("label");
    tile.className = "thumbnail";
    tile.title = text;
    const input = document.createElement("input");
    input.type = "radio";
    input.name = "background";
    input.value = name;
    input.checked = name === this.#chosen;
    input.className = "visually-hidden";
    input.addEventListener("change", () => {
      this.#chosen = name;
      this.dispatchEvent(new CustomEvent("choose", { detail: name }));
    });
    const image = document.createElement("img");
    image.src = url;
    image.alt = text;
    tile.append(input, image);
    return tile;
  }
}

function readable(name) {
  const words = name.replace(/[-_]+/g, " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

async function post(file, session) {
  if (!session) throw new Error("Start the camera first, then choose a picture.");
  if (file.size > LARGEST) throw new Error("The picture is too large; the limit is 10 MiB.");
  let response;
  try {
    response = await ask(`sessions/${encodeURIComponent(session)}/background`, {
      method: "POST",
      headers: { "content-type": file.type || "application/octet-stream" },
      body: file,
    });
  } catch {
    throw new Error("The picture could not be sent.");
  }
  const body = await response.json().catch(() => ({}));
  if (!response.ok) {
    throw new Error(body.error?.message ?? `The server answered ${response.status}.`);
  }
  return body.background;
}
