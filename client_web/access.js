// The token that the page was opened with, for servers whose live sessions need one.

const KEPT = "segstream-token";

/** Taken out of the address, which people pass on, and kept until the tab is closed. */
function found() {
  const address = new URL(location.href);
  const given = address.searchParams.get("token");
  if (!given) return sessionStorage.getItem(KEPT);
  sessionStorage.setItem(KEPT, given);
  address.searchParams.delete("token");
  history.replaceState(history.state, "", address);
  return given;
}

const token = found();

/** `fetch`, with the token. */
export function ask(path, options = {}) {
  if (!token) return fetch(path, options);
  return fetch(path, {
    ...options,
    headers: { ...options.headers, authorization: `Bearer ${token}` },
  });
}
