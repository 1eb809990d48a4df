// Keys that work anywhere on the page, except while a person writes or a dialog is open.

const WRITES = 'input:not([type="radio"], [type="checkbox"], [type="range"]), select, textarea';

/** actions: {name of a key in lower case: function}; those of "ctrl+z" count with Cmd as well. */
export function listen(actions) {
  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.repeat || event.target.closest?.(WRITES)) return;
    if (document.querySelector("dialog[open]")) return;
    const control = event.ctrlKey || event.metaKey ? "ctrl+" : "";
    const action = actions[control + event.key.toLowerCase()];
    if (action) {
      event.preventDefault();
      action();
    }
  });
}
