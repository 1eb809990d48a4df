// Mouse, pen and touch on a picture: a click is a point, a drag is a box.

import { clamp, isDrag, isInside, toPicture } from "./geometry.js";

const MOUSE_SLACK = 5; // CSS pixels a hand moves while it clicks
const TOUCH_SLACK = 12;

/**
 * Calls `asks.point(point, exclude, picture)` and `asks.box(a, b, picture)` with picture points, and
 * `asks.band(picture, a, b)` while a box is drawn, without arguments when there is none any more.
 */
export class Pointing {
  #asks;
  #gesture = null; // of one pointer: {id, picture, from, exclude, box}

  constructor(pictures, asks) {
    this.#asks = asks;
    for (const picture of pictures) this.#listen(picture);
  }

  cancel() {
    if (!this.#gesture) return false;
    this.#end();
    return true;
  }

  #listen(picture) {
    const { video } = picture;
    video.addEventListener("pointerdown", (event) => this.#down(event, picture));
    video.addEventListener("pointermove", (event) => this.#move(event));
    video.addEventListener("pointerup", (event) => this.#up(event));
    video.addEventListener("pointercancel", () => this.cancel());
    video.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  #down(event, picture) {
    if (this.#gesture) {
      this.cancel(); // a second finger: the person zooms
      return;
    }
    if (!picture.ready || event.button === 1) return;
    const exclude = event.button === 2 || event.altKey || event.ctrlKey;
    const from = { x: event.clientX, y: event.clientY };
    this.#gesture = { id: event.pointerId, picture, from, exclude, box: false };
    picture.video.setPointerCapture(event.pointerId);
  }

  #move(event) {
    const gesture = this.#gesture;
    if (event.pointerId !== gesture?.id || gesture.exclude) return;
    const slack = event.pointerType === "mouse" ? MOUSE_SLACK : TOUCH_SLACK;
    gesture.box ||= isDrag(gesture.from, { x: event.clientX, y: event.clientY }, slack);
    if (gesture.box) this.#asks.band(gesture.picture, ...this.#corners(event));
  }

  #up(event) {
    const gesture = this.#gesture;
    if (event.pointerId !== gesture?.id) return;
    const [from, to] = this.#corners(event);
    this.#end();
    if (gesture.box) this.#asks.box(from, to, gesture.picture);
    else if (isInside(from)) this.#asks.point(from, gesture.exclude, gesture.picture);
  }

  #corners(event) {
    const { from, picture, box } = this.#gesture;
    const corners = [
      toPicture(from.x, from.y, picture.area),
      toPicture(event.clientX, event.clientY, picture.area),
    ];
    return box ? corners.map(clamp) : corners;
  }

  #end() {
    this.#gesture = null;
    this.#asks.band();
  }
}
