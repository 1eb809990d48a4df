// A video on the page that a person can point into.

import { contain } from "./geometry.js";

export class Picture {
  /** RTP timestamp of the picture that is shown now; null where the browser does not tell. */
  rtp = null;

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
