// The effect picker with its strength, colour, background, target and objects, for each of a stack.

import { Backgrounds } from "./backgrounds.js";
import { ChosenObjects } from "./chosen_objects.js";
import { RefusedError } from "./control.js";
import { Stack } from "./stack.js";

const EFFECTS = {
  none: { name: "Original", uses: [] },
  overlay: { name: "Highlight", uses: ["strength", "colour", "own-colours", "target"] },
  blur: { name: "Blur background", uses: ["strength", "target"] },
  picture: { name: "New background", uses: ["backgrounds", "fit", "position", "target"] },
  colour: { name: "Plain background", uses: ["colour", "target"] },
  cutout: { name: "Cut out", uses: ["target"] },
  contour: { name: "Outline", uses: ["strength", "colour", "own-colours"] },
  glow: { name: "Glow", uses: ["strength", "colour", "own-colours"] },
  mask: { name: "Mask", uses: [] },
  alpha: { name: "Picture and mask", uses: [] },
  video: { name: "Moving background", uses: ["backgrounds", "fit", "position", "target"] },
  pixelate: { name: "Pixelate", uses: ["strength", "target"] },
  spotlight: { name: "Spotlight", uses: ["strength", "target"] },
  desaturate: { name: "Grey", uses: ["strength", "target"] },
  erase: { name: "Erase", uses: [] },
};
const SHOW = ["picture", "video"]; // those that show a background picture
const CONTROLS = ["strength", "colour", "own-colours", "backgrounds", "target", "fit", "position"];
const GREEN = "#00b140"; // as the server's usual colour
const MIDDLE = [0.5, 0.5];
const TARGETS = { object: "on objects", background: "on background", both: "on all" };
const PACE = 80; // milliseconds between two messages while a slider is dragged

// Digits choose the first effects.
const KEYS = 9;

/** Asks the session for what a person chooses. Dispatches "error" (detail: text). */
export class Effects extends EventTarget {
  #group = document.querySelector("#effects");
  #hint = document.querySelector("#effects-hint");
  #strength = document.querySelector("#strength");
  #colour = document.querySelector("#colour");
  #ownColours = document.querySelector("#own-colours");
  #position = [document.querySelector("#across"), document.querySelector("#down")];
  #selects = {
    target: document.querySelector("#target"),
    fit: document.querySelector("#fit"),
  };
  #session;
  #backgrounds;
  #names = [];
  #stack = [{}]; // as it shall be, the lowest first
  #at = 0; // which of them is edited
  #server = [{}]; // as the server last said it is
  #list = new Stack();
  #chosenObjects = new ChosenObjects();
  #objects = []; // those tracked
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
    this.#chosenObjects.addEventListener("choose", ({ detail }) => this.#choose({ objects: detail }));
    for (const [action, act] of Object.entries({
      choose: (index) => this.#edit(index),
      add: () => this.#add(),
      raise: (index) => this.#raise(index),
      remove: (index) => this.#remove(index),
    })) {
      this.#list.addEventListener(action, ({ detail }) => act(detail));
    }
    this.#colour.addEventListener("input", () => this.#choose({ colour: this.#colour.value }, PACE));
    this.#ownColours.addEventListener("change", () => {
      this.#choose({ colour: this.#ownColours.checked ? null : this.#colour.value });
    });
    for (const slider of this.#position) {
      slider.addEventListener("input", () => {
        this.#choose({ position: this.#position.map(({ value }) => Number(value)) }, PACE);
      });
    }
  }

  /** A new session says hello: offer what it has, and ask for what the person had chosen. */
  async offer({ effects, backgrounds }) {
    this.#names = effects;
    this.#hint.hidden = true;
    this.#group.replaceChildren(...effects.map((name, index) => this.#tile(name, index)));
    this.#backgrounds.offer(backgrounds);
    this.#render();
    if (!this.#chosen) return;
    // Objects have other numbers there, so that an effect is for all until they are chosen again.
    const wanted = this.#stack.map((effect) => ({ ...effect, objects: null }));
    const names = wanted.map(({ background }) => background);
    const own = wanted.map(({ name, background }) => SHOW.includes(name) && this.#backgrounds.isOwn(background));
    // The person's own pictures have to be sent first, and may be refused: the room is hidden then.
    if (own.some(Boolean)) this.#ask(wanted.map((effect, index) => (own[index] ? hidden(effect) : effect)));
    const brought = await this.#backgrounds.bringAgain(names, this.#session.id);
    const there = wanted.map((effect, index) => ({ ...effect, background: brought[index] }));
    this.#ask(there.map((effect, index) => (own[index] && !brought[index] ? hidden(effect) : effect)));
  }

  /** effects: a stack, and objects, as in the server's "state". */
  show(effects, objects) {
    this.#server = effects;
    this.#objects = objects;
    if (!this.#timer && !this.#unanswered) this.#showServer();
    else this.#render();
  }

  /** The effect in place `index` of the picker, from 0. */
  chooseByIndex(index) {
    if (index < this.#names.length) this.#choose(fresh(this.#names[index]));
  }

  get #effect() {
    return this.#stack[this.#at];
  }

  #choose(change, pace = 0) {
    const effect = { ...this.#effect, ...change };
    if (SHOW.includes(effect.name)) effect.background ??= this.#backgrounds.first;
    this.#stack = this.#stack.with(this.#at, effect);
    this.#change(pace);
  }

  #ask(stack) {
    this.#stack = stack;
    this.#at = Math.min(this.#at, stack.length - 1);
    this.#change();
  }

  /** The stack is as the person wants it: show it, and ask for it. */
  #change(pace = 0) {
    this.#chosen = true;
    this.#render();
    if (!this.#timer) this.#timer = setTimeout(() => this.#send(), pace);
  }

  #edit(index) {
    this.#at = index;
    this.#render();
  }

  #add() {
    this.#at = this.#stack.length;
    this.#stack = [...this.#stack, { name: "contour" }];
    this.#change();
  }

  #raise(index) {
    const stack = [...this.#stack];
    stack.splice(index - 1, 0, ...stack.splice(index, 1));
    this.#stack = stack;
    this.#at = index - 1;
    this.#change();
  }

  #remove(index) {
    this.#stack = this.#stack.filter((_, other) => other !== index);
    this.#at = Math.min(this.#at > index ? this.#at - 1 : this.#at, this.#stack.length - 1);
    this.#change();
  }

  async #send() {
    this.#timer = 0;
    if (this.#session.state !== "live") return; // the next session's hello asks for it again
    const [first, ...more] = this.#stack.map(known);
    this.#unanswered++;
    try {
      await this.#session.request({ type: "effect", ...(more.length ? { effects: [first, ...more] } : first) });
    } catch (error) {
      this.#tell(error.message);
      if (error instanceof RefusedError) this.#showServer();
    } finally {
      this.#unanswered--;
    }
  }

  #showServer() {
    this.#stack = this.#server.map((effect) => ({ ...effect }));
    this.#at = Math.min(this.#at, this.#stack.length - 1);
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
    input.addEventListener("change", () => this.#choose(fresh(name)));
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
    const { name, strength, colour, background, position } = this.#effect;
    for (const input of this.#group.querySelectorAll("input")) input.checked = input.value === name;
    const uses = name && this.#names.length ? (EFFECTS[name]?.uses ?? CONTROLS) : [];
    for (const control of CONTROLS) {
      document.querySelector(`#${control}-field`).hidden = !uses.includes(control);
    }
    if (strength != null) this.#strength.value = strength;
    for (const [key, select] of Object.entries(this.#selects)) {
      select.value = this.#effect[key] ?? select.options[0].value;
    }
    this.#colour.value = colour ?? GREEN;
    this.#ownColours.checked = !colour;
    for (const [axis, share] of (position ?? MIDDLE).entries()) this.#position[axis].value = share;
    this.#backgrounds.choose(background);
    this.#list.show(this.#names.length ? this.#stack.map(texts) : [], this.#at);
    this.#chosenObjects.show(this.#objects, this.#effect.objects, Boolean(name) && name !== "none");
  }
}

/** What choosing an effect's name changes: no colour of another effect becomes all objects'. */
function fresh(name) {
  const isPainted = EFFECTS[name]?.uses.includes("own-colours");
  return { name, target: null, ...(isPainted ? { colour: null } : {}) };
}

/** An effect without what the server is to choose. */
function known(effect) {
  return Object.fromEntries(Object.entries(effect).filter(([, value]) => value != null));
}

/** Out of focus, what an effect was to show a picture in place of. */
function hidden({ target, strength }) {
  return { name: "blur", target, strength };
}

/** What the list says of an effect. */
function texts({ name, target, objects }) {
  const parts = [TARGETS[target], objects && `for ${objects.join(", ")}`];
  return { name: EFFECTS[name]?.name ?? name ?? "", detail: parts.filter(Boolean).join(", ") };
}
