// Short messages in a corner; errors interrupt a screen reader, notes wait for its next pause.

const MOST = 3;
const NOTE_TIME = 5_000;
const ERROR_TIME = 10_000;

export class Toasts {
  #list;

  constructor(list) {
    this.#list = list;
  }

  note(text) {
    this.#show(text, "status", NOTE_TIME);
  }

  error(text) {
    this.#show(text, "alert", ERROR_TIME);
  }

  #show(text, role, time) {
    for (const toast of this.#list.children) {
      if (toast.dataset.text === text) toast.remove();
    }
    while (this.#list.children.length >= MOST) this.#list.firstChild.remove();
    const toast = document.createElement("div");
    toast.className = "toast";
    toast.dataset.text = text;
    toast.setAttribute("role", role);
    const words = document.createElement("p");
    const close = document.createElement("button");
    close.type = "button";
    close.className = "icon";
    close.textContent = "×";
    close.setAttribute("aria-label", "Dismiss");
    close.addEventListener("click", () => toast.remove());
    toast.append(words, close);
    this.#list.append(toast);
    words.textContent = text; // after the element is in the page: screen readers hear the change
    setTimeout(() => toast.remove(), time);
  }
}
