// Pointing with the keyboard: the focused stage has a crosshair that the arrow keys move.

import { clamp } from "./geometry.js";

const STEP = 0.025; // of the picture
const SMALL_STEP = 0.005;
const ARROWS = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

/** Calls the same `asks` as Pointing does, and `asks.crosshair(point)`, null to hide it. */
export class Crosshair {
  #asks;
  #picture; // () => the large picture, whose keys these are
  #at = { u: 0.5, v: 0.5 };
  #corner = null;
  #shown = false;

  constructor(stage, picture, asks) {
    this.#asks = asks;
    this.#picture = picture;
    stage.addEventListener("keydown", (event) => {
      if (event.target === stage && picture().ready && this.#key(event)) {
        event.preventDefault();
        event.stopPropagation();
      }
    });
    stage.addEventListener("focus", () => stage.matches(":focus-visible") && this.#show());
    stage.addEventListener("blur", () => this.hide());
    stage.addEventListener("pointerdown", () => this.hide());
  }

  hide() {
    this.#shown = false;
    this.#corner = null;
    this.#asks.crosshair(null);
    this.#asks.band();
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return false;
    if (event.key in ARROWS) this.#move(ARROWS[event.key], event.shiftKey ? SMALL_STEP : STEP);
    else if (event.key === "Enter") this.#enter(event.shiftKey);
    else if (event.key.toLowerCase() === "b") this.#startBox();
    else if (event.key === "Escape" && this.#corner) this.#cancelBox();
    else return false;
    return true;
  }

  #move([right, down], step) {
    this.#at = clamp({ u: this.#at.u + right * step, v: this.#at.v + down * step });
    this.#show();
  }

  #enter(exclude) {
    if (this.#corner) {
      const corner = this.#corner;
      this.#cancelBox();
      this.#asks.box(corner, this.#at, this.#picture());
    } else {
      this.#show();
      this.#asks.point(this.#at, exclude, this.#picture());
    }
  }

  #startBox() {
    this.#corner = this.#at;
    this.#show();
  }

  #cancelBox() {
    this.#corner = null;
    this.#asks.band();
  }

  #show() {
    if (!this.#picture().ready) return;
    this.#shown = true;
    this.redraw();
  }

  /** Draw again where the picture now is. */
  redraw() {
    if (!this.#shown) return;
    this.#asks.crosshair(this.#at);
    if (this.#corner) this.#asks.band(this.#picture(), this.#corner, this.#at);
  }
}
