// The effect picker with its strength, colour and background.

import { Backgrounds } from "./backgrounds.js";
import { RefusedError } from "./control.js";

const EFFECTS = {
  none: { name: "Original", uses: [] },
  overlay: { name: "Highlight", uses: ["strength"] },
  blur: { name: "Blur background", uses: ["strength", "target"] },
  picture: { name: "New background", uses: ["backgrounds", "fit"] },
  colour: { name: "Plain background", uses: ["colour", "target"] },
  cutout: { name: "Cut out", uses: [] },
  contour: { name: "Outline", uses: ["strength"] },
  glow: { name: "Glow", uses: ["strength"] },
  mask: { name: "Mask", uses: [] },
  alpha: { name: "Picture and mask", uses: [] },
  video: { name: "Moving background", uses: ["backgrounds", "fit"] },
  pixelate: { name: "Pixelate", uses: ["strength", "target"] },
  spotlight: { name: "Spotlight", uses: ["strength", "target"] },
  desaturate: { name: "Grey", uses: ["strength", "target"] },
  erase: { name: "Erase", uses: [] },
};
const CONTROLS = ["strength", "colour", "backgrounds", "target", "fit"];
const PACE = 80; // milliseconds between two messages while a slider is dragged

// Digits choose the first effects.
const KEYS = 9;

/** Asks the session for what a person chooses. Dispatches "error" (detail: text). */
export class Effects extends EventTarget {
  #group = document.querySelector("#effects");
  #hint = document.querySelector("#effects-hint");
  #strength = document.querySelector("#strength");
  #colour = document.querySelector("#colour");
  #selects = {
    target: document.querySelector("#target"),
    fit: document.querySelector("#fit"),
  };
  #session;
  #backgrounds;
  #names = [];
  #effect = {}; // as it shall be
  #server = {}; // as the server last said it is
  #chosen = false; // by the person, and so worth restoring in a new session
  #timer = 0;
  #unanswered = 0;

  constructor(session) {
    super();
    this.#session = session;
    this.#backgrounds = new Backgrounds(() => session.id);
    this.#backgrounds.addEventListener("choose", ({ detail }) => {
      const name = this.#effect.name === "video" ? "video" : "picture";
      this.#choose({ name, background: detail });
    });
    this.#backgrounds.addEventListener("error", ({ detail }) => this.#tell(detail));
    this.#strength.addEventListener("input", () => {
      this.#choose({ strength: Number(this.#strength.value) }, PACE);
    });
    for (const [key, select] of Object.entries(this.#selects)) {
      select.addEventListener("change", () => this.#choose({ [key]: select.value || null }));
    }
    this.#colour.addEventListener("input", () => this.#choose({ colour: this.#colour.value }, PACE));
  }

  /** A new session says hello: offer what it has, and ask for what the person had chosen. */
  async offer({ effects, backgrounds, session }) {
    this.#names = effects;
    this.#hint.hidden = true;
    this.#group.replaceChildren(...effects.map((name, index) => this.#tile(name, index)));
    this.#backgrounds.offer(backgrounds);
    this.#render();
    if (!this.#chosen) return;
    const wanted = this.#effect; // the server tells its default while the picture is sent
    const background = await this.#backgrounds.bringAgain(wanted.background, session);
    this.#choose({ ...wanted, background });
  }

  /** effect: as in the server's "state". */
  show(effect) {
    this.#server = effect;
    if (!this.#timer && !this.#unanswered) this.#showServer();
  }

  /** The effect in place `index` of the picker, from 0. */
  chooseByIndex(index) {
    if (index < this.#names.length) this.#choose({ name: this.#names[index], target: null });
  }

  #choose(change, pace = 0) {
    this.#chosen = true;
    this.#effect = { ...this.#effect, ...change };
    if (["picture", "video"].includes(this.#effect.name)) this.#effect.background ??= this.#backgrounds.first;
    this.#render();
    if (!this.#timer) this.#timer = setTimeout(() => this.#send(), pace);
  }

  async #send() {
    this.#timer = 0;
    if (this.#session.state !== "live") return; // the next session's hello asks for it again
    const known = Object.entries(this.#effect).filter(([, value]) => value != null);
    this.#unanswered++;
    try {
      await this.#session.request({ type: "effect", ...Object.fromEntries(known) });
    } catch (error) {
      this.#tell(error.message);
      if (error instanceof RefusedError) this.#showServer();
    } finally {
      this.#unanswered--;
    }
  }

  #showServer() {
    this.#effect = { ...this.#server };
    this.#render();
  }

  #tell(text) {
    this.dispatchEvent(new CustomEvent("error", { detail: text }));
  }

  #tile(name, index) {
    const tile = document.createElement("label");
    tile.className = "tile";
    const input = document.createElement("input");
    input.type = "radio";
    input.name = "effect";
    input.value = name;
    input.className = "visually-hidden";
    input.addEventListener("change", () => this.#choose({ name, target: null }));
    const text = document.createElement("span");
    text.textContent = EFFECTS[name]?.name ?? name;
    tile.append(input, text);
    if (index < KEYS) {
      const key = document.createElement("kbd");
      key.textContent = index + 1;
      key.setAttribute("aria-hidden", "true");
      tile.append(key);
    }
    return tile;
  }

  #render() {
    const { name, strength, colour, background } = this.#effect;
    for (const input of this.#group.querySelectorAll("input")) input.checked = input.value === name;
    const uses = name && this.#names.length ? (EFFECTS[name]?.uses ?? CONTROLS) : [];
    for (const control of CONTROLS) {
      document.querySelector(`#${control}-field`).hidden = !uses.includes(control);
    }
    if (strength != null) this.#strength.value = strength;
    for (const [key, select] of Object.entries(this.#selects)) {
      select.value = this.#effect[key] ?? select.options[0].value;
    }
    if (colour) this.#colour.value = colour;
    this.#backgrounds.choose(background);
  }
}
