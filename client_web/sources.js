// The camera and the microphone that are sent, as a person switches them.

import { explain, listCameras, openCamera, openMicrophone } from "./camera.js";
import { group, nameOf, serverCameras } from "./server_cameras.js";

/**
 * `video` and `audio` are the open tracks, or null; `remote` is the name of a camera of the server's
 * that is watched instead, or null. Dispatches "lost" when the camera ends by
 * itself, and "error" (detail: text).
 */
export class Sources extends EventTarget {
  video = null;
  audio = null;
  remote = null;
  #server = [];
  #camera = document.querySelector("#camera");
  #microphone = document.querySelector("#microphone");

  constructor() {
    super();
    navigator.mediaDevices?.addEventListener("devicechange", () => this.#list());
    this.#camera.addEventListener("focus", () => this.#askServer());
    this.#list();
    this.#askServer();
  }

  get wantsMicrophone() {
    return this.#microphone.checked;
  }

  /** Open the camera that is picked; false when it cannot be had. */
  async openCamera() {
    this.video?.stop(); // phones open only one camera at a time
    const watched = this.remote !== null;
    this.remote = nameOf(this.#camera.value);
    if (this.remote !== null) {
      this.video = null;
      await this.setMicrophone(); // closes it: there is nobody to hear it
      return true;
    }
    try {
      this.video = await openCamera(this.#camera.value);
    } catch (error) {
      this.video = null;
      this.#tell(explain("Camera", error));
      return false;
    }
    this.video.contentHint = "motion";
    this.video.addEventListener("ended", () => this.dispatchEvent(new Event("lost")));
    await this.#list(this.video.getSettings().deviceId);
    if (watched) await this.setMicrophone();
    return true;
  }

  /** Open or close the microphone, as the person wants it. */
  async setMicrophone() {
    this.audio?.stop();
    this.audio = null;
    if (!this.wantsMicrophone || this.remote !== null) return;
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
    this.remote = null;
  }

  #list(current) {
    return listCameras(this.#camera, current, this.#server.length ? [group(this.#server)] : []);
  }

  async #askServer() {
    const cameras = await serverCameras();
    const names = JSON.stringify(cameras.map(({ name }) => name));
    if (names === JSON.stringify(this.#server.map(({ name }) => name))) return; // it may be open
    this.#server = cameras;
    await this.#list();
  }

  #tell(text) {
    this.dispatchEvent(new CustomEvent("error", { detail: text }));
  }
}
