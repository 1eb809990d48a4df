// From a person's pointing to requests, in order: a second click waits for the id of the object
// that the first one made.

import { sourceBox, toSource } from "./geometry.js";

const MOST_WAITING = 8;
const KINDS = { point: "Point", box: "Box" };

export class Prompts {
  #session;
  #objects;
  #stage;
  #toasts;
  #announce;
  #waiting = 0;
  #last = Promise.resolve();
  excluding = false; // the Exclude button, for people without a second mouse button

  /** stage: its output knows the source's size. announce: tells screen readers. */
  constructor({ session, objects, stage, toasts, announce }) {
    this.#session = session;
    this.#objects = objects;
    this.#stage = stage;
    this.#toasts = toasts;
    this.#announce = announce;
  }

  /** picture: the one that was pointed at. */
  point(point, exclude, picture) {
    const positive = !(exclude || this.excluding);
    const { target } = this.#objects;
    if (!positive && target.id === null && !target.asked) {
      this.#toasts.note("First mark what belongs to the object, then exclude parts of it.");
      return;
    }
    this.#stage.markPoint(point, positive ? "include" : "exclude");
    const { sourceSize } = this.#stage.output;
    this.#send({ type: "point", ...toSource(point, sourceSize), positive, rtp: picture.rtp });
  }

  box(a, b, picture) {
    const box = sourceBox(a, b, this.#stage.output.sourceSize);
    if (!box) return;
    this.#stage.markBox(a, b);
    this.#send({ type: "box", ...box, rtp: picture.rtp });
  }

  /** Start an object that is all that the word names. */
  word(text) {
    this.#inTurn(async () => {
      const { object } = await this.#session.request({ type: "text", text });
      this.#announce(`Looking for ${text} as object ${object}`);
    });
  }

  undo() {
    this.#inTurn(() => this.#session.request({ type: "undo" }));
  }

  clear() {
    this.#objects.select(null);
    this.#inTurn(() => this.#session.request({ type: "clear" }));
  }

  remove(object) {
    this.#inTurn(() => this.#session.request({ type: "remove", object }));
  }

  #send(prompt) {
    const { target } = this.#objects;
    target.asked = true;
    this.#inTurn(async () => {
      const { object } = await this.#session.request({ ...prompt, object: target.id });
      this.#objects.settle(target, object);
      this.#announce(`${KINDS[prompt.type]} taken for object ${object}`);
    });
  }

  #inTurn(act) {
    if (this.#waiting >= MOST_WAITING) {
      this.#toasts.note("The tracker is still busy with your last clicks.");
      return;
    }
    this.#waiting++;
    this.#last = this.#last
      .then(act)
      .catch((error) => this.#toasts.error(error.message))
      .finally(() => this.#waiting--);
  }
}
