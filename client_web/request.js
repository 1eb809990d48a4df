// Requests that are answered in JSON, or refused with a reason.

import { ask } from "./access.js";

const TIMEOUT = 10_000;

/** {body, status, error}: what the server answered, and in words why it refused. */
export async function request(method, path, given) {
  try {
    const response = await ask(path, {
      method,
      headers: given && { "content-type": "application/json" },
      body: given && JSON.stringify(given),
      signal: AbortSignal.timeout(TIMEOUT),
    });
    const body = await response.json().catch(() => ({}));
    const refusal = body.error?.message ?? `The server answered ${response.status}.`;
    return { body, status: response.status, error: response.ok ? "" : refusal };
  } catch {
    return { body: {}, status: 0, error: "The server cannot be reached." };
  }
}
