// A video on the page that a person can point into.

import { contain } from "./geometry.js";

export class Picture {
  /** RTP timestamp of the picture that is shown now; null where the browser does not tell. */
  rtp = null;

  /** Pixels of the source's pictures, {width, height}: an overloaded server sends them smaller. */
  source = null;

  constructor(video) {
    this.video = video;
    if ("requestVideoFrameCallback" in video) this.#watch();
  }

  #watch() {
    this.video.requestVideoFrameCallback((_, { rtpTimestamp = null }) => {
      this.rtp = rtpTimestamp;
      this.#watch();
    });
  }

  get ready() {
    return this.video.videoWidth > 0;
  }

  /** Pixels of the pictures that the video shows now. */
  get size() {
    return { width: this.video.videoWidth, height: this.video.videoHeight };
  }

  /** The space that prompts are given in: the source's pixels. */
  get sourceSize() {
    const { size, source } = this;
    // A source that was just turned is told of a moment later; its shape gives that away.
    const same = source && Math.abs(size.width / size.height / (source.width / source.height) - 1) < 0.02;
    return same ? source : size;
  }

  /** Where on the page they are shown, in client coordinates. */
  get area() {
    return contain(this.video.getBoundingClientRect(), this.size);
  }

  play(stream) {
    this.video.srcObject = stream;
    this.video.play().catch(() => {}); // a newer stream interrupts; autoplay takes over
  }

  stop() {
    this.video.srcObject = null;
  }
}
