// The cameras that the server reads itself, among those that can be chosen.

import { ask } from "./access.js";

const PREFIX = "camera:";

/** Those that the server has now, [] when it does not tell. */
export async function serverCameras() {
  try {
    const response = await ask("cameras", { signal: AbortSignal.timeout(5_000) });
    return response.ok ? (await response.json()).cameras : [];
  } catch {
    return [];
  }
}

/** A group of options for a select. */
export function group(cameras) {
  const made = document.createElement("optgroup");
  made.label = "Cameras of the server";
  made.append(...cameras.map(({ name }) => new Option(name, PREFIX + name)));
  return made;
}

/** The name of the server's camera that an option's value stands for, or null. */
export function nameOf(value) {
  return value.startsWith(PREFIX) ? value.slice(PREFIX.length) : null;
}

/** What a person should read of a camera's state; empty while it is live. */
export function explain({ name, state, reason, retry_in }) {
  if (state === "live") return "";
  const again = retry_in ? `; trying again in ${Math.ceil(retry_in)} s` : "";
  return `${name}: ${state}${reason ? `, ${reason}` : ""}${again}`;
}
