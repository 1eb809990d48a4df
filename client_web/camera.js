// Cameras and the microphone, and what to tell a person when they cannot be had.

const SIZE = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } };

const REASONS = {
  NotAllowedError:
    "The browser may not use it. Allow it with the icon beside the address, then press Start.",
  NotFoundError: "None was found. Connect one, then press Start.",
  NotReadableError: "It is in use by another program. Close that program, then press Start.",
  OverconstrainedError: "The chosen one is gone. Choose another, then press Start.",
};

/** A sentence for the person, from an error of getUserMedia; `what` is Camera or Microphone. */
export function explain(what, error) {
  return `${what}: ${REASONS[error.name] ?? error.message}`;
}

/** Open a camera. An empty deviceId takes the browser's choice, on phones the front camera. */
export async function openCamera(deviceId) {
  const which = deviceId ? { deviceId: { exact: deviceId } } : { facingMode: { ideal: "user" } };
  return openTrack({ video: { ...SIZE, ...which } });
}

export async function openMicrophone() {
  return openTrack({ audio: { echoCancellation: true, noiseSuppression: true } });
}

async function openTrack(constraints) {
  if (!navigator.mediaDevices) {
    throw new Error("Browsers allow it only on https:// pages and on http://localhost.");
  }
  const stream = await navigator.mediaDevices.getUserMedia(constraints);
  return stream.getTracks()[0];
}

/** Fill `select` with the cameras; before the first permission browsers do not name them.
 * more: elements to put behind them. */
export async function listCameras(select, current, more = []) {
  const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  const cameras = devices.filter((device) => device.kind === "videoinput" && device.deviceId);
  const options = cameras.map(
    ({ label, deviceId }, index) => new Option(label || `Camera ${index + 1}`, deviceId),
  );
  if (!options.length) options.push(new Option("Default camera", ""));
  const wanted = current ?? select.value;
  select.replaceChildren(...options, ...more);
  if ([...select.options].some(({ value }) => value === wanted)) select.value = wanted;
}
