// The list of effects that are put on one after the other, and which of them is being edited.

export const MOST = 8; // as the server's limit

/** Dispatches "choose", "raise" and "remove" (detail: index) and "add". */
export class Stack extends EventTarget {
  #list = document.querySelector("#stack");
  #add = document.querySelector("#add-effect");
  #shown = "";

  constructor() {
    super();
    this.#add.addEventListener("click", () => this.#say("add"));
  }

  /** texts: {name, detail} of each effect, the lowest first. at: index of the one being edited. */
  show(texts, at) {
    const state = JSON.stringify([texts, at]);
    if (state === this.#shown) return; // the server tells its state often; keep what has the focus
    this.#shown = state;
    const focused = this.#list.contains(document.activeElement) && document.activeElement.dataset;
    const rows = texts.map((text, index) => this.#row(text, index, index === at));
    this.#list.hidden = texts.length < 2; // one alone needs no list
    this.#list.replaceChildren(...(this.#list.hidden ? [] : rows));
    this.#add.hidden = !texts.length || texts.length >= MOST;
    if (focused) this.#focus(focused.action, at);
  }

  /** Who works with keys goes on at the effect that was moved, or beside the one removed. */
  #focus(action, at) {
    const row = this.#list.children[at];
    const button = row?.querySelector(`[data-action="${action}"]:not(:disabled)`);
    (this.#list.hidden ? this.#add : (button ?? row.querySelector("button"))).focus();
  }

  #row({ name, detail }, index, chosen) {
    const item = document.createElement("li");
    const choose = button("choose", `${index + 1}. ${name}`);
    choose.setAttribute("aria-pressed", String(chosen));
    if (detail) {
      const note = document.createElement("span");
      note.className = "sight";
      note.textContent = detail;
      choose.append(note);
    }
    const raise = button("icon", "↑", `Put ${name} on earlier`);
    raise.disabled = index === 0;
    const remove = button("icon", "×", `Remove ${name}`);
    for (const [action, element] of Object.entries({ choose, raise, remove })) {
      element.dataset.action = action;
      element.addEventListener("click", () => this.#say(action, index));
    }
    item.append(choose, raise, remove);
    return item;
  }

  #say(action, index) {
    this.dispatchEvent(new CustomEvent(action, { detail: index }));
  }
}

function button(kind, text, title = "") {
  const element = document.createElement("button");
  element.type = "button";
  element.className = kind;
  const label = document.createElement("span");
  label.textContent = text;
  element.append(label);
  if (title) {
    element.title = title;
    element.setAttribute("aria-label", title);
  }
  return element;
}
