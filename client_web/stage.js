// The stage: the returned stream large, the own camera small (or swapped), and what is drawn on
// them: markers where a person pointed, the band of a box, the keyboard's crosshair.

import { Crosshair } from "./crosshair.js";
import { toClient } from "./geometry.js";
import { Picture } from "./picture.js";
import { Pointing } from "./pointing.js";

const MARKER_TIME = 2_500;
const MOST_MARKERS = 24;

export class Stage {
  #stage = document.querySelector("#stage");
  #band = document.querySelector("#band");
  #crosshair = document.querySelector("#crosshair");
  #markers = document.querySelector("#markers");
  output = new Picture(document.querySelector("#output"));
  local = new Picture(document.querySelector("#local"));

  /** prompts: {point(point, exclude, picture), box(a, b, picture)}, with picture points. */
  constructor(prompts) {
    const pictures = [this.output, this.local];
    const asks = {
      point: (point, exclude, picture) => prompts.point(point, exclude, picture),
      box: (a, b, picture) => prompts.box(a, b, picture),
      band: (picture, a, b) => this.#drawBand(picture, a, b),
      crosshair: (point) => this.#drawCrosshair(point),
    };
    this.pointing = new Pointing(pictures, asks);
    this.crosshair = new Crosshair(this.#stage, () => this.large, asks);
    const resized = new ResizeObserver(() => this.crosshair.redraw());
    resized.observe(this.#stage);
    for (const { video } of pictures) video.addEventListener("resize", () => this.#fitStage());
    for (const event of ["resize", "emptied"]) {
      this.output.video.addEventListener(event, () => {
        this.#stage.classList.toggle("showing", this.output.ready);
      });
    }
  }

  get large() {
    return this.output.video.classList.contains("large") ? this.output : this.local;
  }

  swap() {
    for (const { video } of [this.output, this.local]) {
      video.classList.toggle("large");
      video.classList.toggle("small");
    }
    this.#fitStage();
    return this.large === this.local;
  }

  toggleInset() {
    return !this.#stage.classList.toggle("no-inset");
  }

  /** Leave a mark that fades at a picture point, in both pictures; kind: include or exclude. */
  markPoint(point, kind) {
    this.#eachShown((picture) => {
      const marker = this.#mark(kind);
      place(marker, this.#within(toClient(point, picture.area)));
    });
  }

  markBox(a, b) {
    this.#eachShown((picture) => this.#placeBox(this.#mark("box"), picture, a, b));
  }

  #eachShown(draw) {
    for (const picture of [this.output, this.local]) {
      if (picture.ready && picture.video.checkVisibility()) draw(picture);
    }
  }

  #mark(kind) {
    while (this.#markers.children.length >= MOST_MARKERS) this.#markers.firstChild.remove();
    const marker = document.createElement("span");
    marker.className = `marker ${kind}`;
    this.#markers.append(marker);
    setTimeout(() => marker.remove(), MARKER_TIME);
    return marker;
  }

  #drawBand(picture, a, b) {
    this.#band.hidden = !picture;
    if (picture) this.#placeBox(this.#band, picture, a, b);
  }

  #drawCrosshair(point) {
    this.#crosshair.hidden = !point;
    if (point) place(this.#crosshair, this.#within(toClient(point, this.large.area)));
  }

  #placeBox(element, picture, a, b) {
    const p = this.#within(toClient(a, picture.area));
    const q = this.#within(toClient(b, picture.area));
    place(element, { x: Math.min(p.x, q.x), y: Math.min(p.y, q.y) });
    element.style.width = `${Math.abs(p.x - q.x)}px`;
    element.style.height = `${Math.abs(p.y - q.y)}px`;
  }

  #within({ x, y }) {
    const { left, top } = this.#stage.getBoundingClientRect();
    return { x: x - left, y: y - top };
  }

  /** Narrow pages give the stage the picture's own shape. */
  #fitStage() {
    const { ready, size } = this.large;
    if (ready) this.#stage.style.setProperty("--shape", `${size.width} / ${size.height}`);
    const inset = this.large === this.output ? this.local : this.output;
    if (inset.ready) {
      const { width, height } = inset.size;
      this.#stage.style.setProperty("--inset-shape", `${width} / ${height}`);
    }
    this.crosshair.redraw();
  }
}

function place(element, { x, y }) {
  element.style.left = `${x}px`;
  element.style.top = `${y}px`;
}
