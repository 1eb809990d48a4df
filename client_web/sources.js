// The camera and the microphone that are sent, as a person switches them.

import { explain, listCameras, openCamera, openMicrophone } from "./camera.js";

/**
 * `video` and `audio` are the open tracks, or null. Dispatches "lost" when the camera ends by
 * itself, and "error" (detail: text).
 */
export class Sources extends EventTarget {
  video = null;
  audio = null;
  #camera = document.querySelector("#camera");
  #microphone = document.querySelector("#microphone");

  constructor() {
    super();
    const list = () => listCameras(this.#camera);
    navigator.mediaDevices?.addEventListener("devicechange", list);
    list();
  }

  get wantsMicrophone() {
    return this.#microphone.checked;
  }

  /** Open the camera that is picked; false when it cannot be had. */
  async openCamera() {
    this.video?.stop(); // phones open only one camera at a time
    try {
      this.video = await openCamera(this.#camera.value);
    } catch (error) {
      this.video = null;
      this.#tell(explain("Camera", error));
      return false;
    }
    this.video.contentHint = "motion";
    this.video.addEventListener("ended", () => this.dispatchEvent(new Event("lost")));
    await listCameras(this.#camera, this.video.getSettings().deviceId);
    return true;
  }

  /** Open or close the microphone, as the person wants it. */
  async setMicrophone() {
    this.audio?.stop();
    this.audio = null;
    if (!this.wantsMicrophone) return;
    try {
      this.audio = await openMicrophone();
    } catch (error) {
      this.#microphone.checked = false;
      this.#tell(explain("Microphone", error));
    }
  }

  close() {
    this.video?.stop();
    this.audio?.stop();
    this.video = null;
    this.audio = null;
  }

  #tell(text) {
    this.dispatchEvent(new CustomEvent("error", { detail: text }));
  }
}
