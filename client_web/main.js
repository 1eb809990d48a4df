// The page: wires sources, session, stage and panels together.

import { Effects } from "./effects.js";
import { Objects } from "./objects.js";
import { Prompts } from "./prompts.js";
import { Publications } from "./publications.js";
import { Recorder } from "./recorder.js";
import { Recordings } from "./recordings.js";
import { Session } from "./session.js";
import { explain } from "./server_cameras.js";
import { listen } from "./shortcuts.js";
import { Sources } from "./sources.js";
import { Stage } from "./stage.js";
import { Stats } from "./stats.js";
import { Toasts } from "./toasts.js";
import { Words } from "./words.js";

const STATUS = { idle: "Ready", connecting: "Connecting …", live: "Live", lost: "Connection lost" };
const NO_WEBRTC =
  "This browser has no WebRTC, or it is switched off. Open the page in Firefox, Chrome, Edge or Safari.";

const find = (selector) => document.querySelector(selector);
const press = (selector, pressed) => find(selector).setAttribute("aria-pressed", String(pressed));

const toasts = new Toasts(find("#toasts"));
const sources = new Sources();
const session = new Session(sources);
const objects = new Objects();
const stage = new Stage({
  point: (...asked) => whenShown(() => prompts.point(...asked)),
  box: (...asked) => whenShown(() => prompts.box(...asked)),
});
const announce = (text) => (find("#announce").textContent = text);
const prompts = new Prompts({ session, objects, stage, toasts, announce });
const effects = new Effects(session);
const words = new Words((text) => whenShown(() => prompts.word(text)));
new Publications({ session, sources, announce });
const recorder = new Recorder({ session, recordings: new Recordings(), toasts, announce });
new Stats(session);
let hadObjects = false;

/** Prompts are in pixels of the returned picture, so it must have come first. */
function whenShown(act) {
  if (session.state === "live" && stage.output.ready) act();
}

async function start() {
  if (session.state !== "idle" || find("#start").disabled) return;
  if (!window.RTCPeerConnection) {
    toasts.error(NO_WEBRTC);
    return;
  }
  find("#start").disabled = true;
  if (await sources.openCamera()) {
    await sources.setMicrophone();
    offerListening();
    showLocal();
    session.start();
  }
  find("#start").disabled = false;
}

/** One's own camera stays visible beside what comes back; a camera of the server's has no other. */
function showLocal() {
  find("#stage").classList.toggle("watching", sources.remote !== null);
  if (sources.video) stage.local.play(new MediaStream([sources.video]));
  else stage.local.stop();
}

function stop() {
  session.stop();
  sources.close();
  offerListening();
  stage.output.stop();
  stage.local.stop();
}

async function changeCamera() {
  if (session.state === "idle") return;
  const before = sources.remote;
  if (await sources.openCamera()) {
    offerListening();
    showLocal();
    if (before === null && sources.remote === null) await session.replaceVideo();
    else restart();
  } else {
    stop();
  }
}

/** What is watched is another stream, so it is another connection. */
function restart() {
  session.stop();
  session.start();
}

async function changeMicrophone() {
  offerListening();
  if (session.state === "idle") return;
  await sources.setMicrophone();
  offerListening(); // once more: it may not be had
  await session.replaceAudio();
}

/** The returned sound is an echo of one's own voice, or what a camera hears: silent unless asked
 * for. */
function offerListening() {
  const sounds = sources.wantsMicrophone || sources.remote !== null;
  find("#listen-label").hidden = !sounds;
  find("#listen-text").textContent = sources.remote === null ? "Hear it back" : "Hear the camera";
  if (!sounds) find("#listen").checked = false;
  changeListening();
}

function changeListening() {
  stage.output.video.muted = !find("#listen").checked;
}

function toggleExclude() {
  prompts.excluding = !prompts.excluding;
  press("#exclude", prompts.excluding);
  find("#stage").classList.toggle("excluding", prompts.excluding);
}

const newObject = () => objects.select(null);
const undo = () => find("#undo").disabled || prompts.undo();
const removeSelected = () => objects.selected === null || prompts.remove(objects.selected);
const swap = () => press("#swap", stage.swap());
const toggleInset = () => press("#inset", stage.toggleInset());
const help = () => find("#help-dialog").showModal();

session.addEventListener("change", ({ detail: { state, reason, retryAt } }) => {
  document.body.dataset.state = state;
  find("#status").textContent = STATUS[state];
  find("#start").hidden = state !== "idle";
  find("#stop").hidden = state === "idle";
  find("#lost-reason").textContent = reason;
  find("#lost-wait").dataset.until = retryAt ?? "";
  if (state === "connecting") stage.output.play(session.stream);
  if (state === "lost") hadObjects ||= objects.count > 0;
  if (state !== "live") {
    find("#undo").disabled = find("#clear").disabled = true;
    words.offer([]);
  }
  objects.reset(state === "live");
});
session.addEventListener("hello", ({ detail }) => {
  effects.offer(detail);
  words.offer(detail.words, detail.phrases);
  if (hadObjects) toasts.note("Connected again. Click the things to track once more.");
  hadObjects = false;
});
session.addEventListener("state", ({ detail }) => {
  objects.update(detail.objects);
  effects.show(detail.effects ?? [detail.effect], detail.objects);
  find("#undo").disabled = !detail.can_undo;
  find("#clear").disabled = !detail.objects.length;
});
session.addEventListener("camera", ({ detail }) => {
  find("#status").textContent = explain(detail) || STATUS.live;
});
session.addEventListener("stats", ({ detail }) => {
  stage.output.source = { width: detail.width, height: detail.height };
});
session.addEventListener("refused", ({ detail }) => toasts.error(detail.message));
setInterval(() => {
  const { until } = find("#lost-wait").dataset;
  const seconds = Math.max(1, Math.ceil((Number(until) - performance.now()) / 1_000));
  find("#lost-wait").textContent = until ? `Trying again in ${seconds} s` : "";
}, 250);

sources.addEventListener("lost", () => {
  stop();
  toasts.error("The camera was disconnected. Choose another, then press Start.");
});
sources.addEventListener("error", ({ detail }) => toasts.error(detail));
objects.addEventListener("remove", ({ detail }) => prompts.remove(detail));
effects.addEventListener("error", ({ detail }) => toasts.error(detail));

for (const [selector, action] of [
  ["#start", start],
  ["[data-start]", start],
  ["#stop", stop],
  ["#reconnect", () => session.reconnect()],
  ["#help", help],
  ["#new-object", newObject],
  ["#exclude", toggleExclude],
  ["#undo", undo],
  ["#clear", () => prompts.clear()],
  ["#swap", swap],
  ["#inset", toggleInset],
]) {
  find(selector).addEventListener("click", action);
}
find("#camera").addEventListener("change", changeCamera);
find("#microphone").addEventListener("change", changeMicrophone);
find("#listen").addEventListener("change", changeListening);

listen({
  n: newObject,
  z: undo,
  "ctrl+z": undo,
  delete: removeSelected,
  backspace: removeSelected,
  x: toggleExclude,
  s: swap,
  c: toggleInset,
  r: () => recorder.toggle(),
  escape: () => stage.pointing.cancel(),
  "?": help,
  ...Object.fromEntries(
    Array.from({ length: 9 }, (_, index) => [index + 1, () => effects.chooseByIndex(index)]),
  ),
});

window.addEventListener("online", () => session.reconnect());
window.addEventListener("pagehide", () => session.state === "idle" || stop());
objects.reset(false);
