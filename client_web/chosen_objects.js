// Which of the tracked objects an effect is for.

/** Dispatches "choose" (detail: ids, or null for all). */
export class ChosenObjects extends EventTarget {
  #field = document.querySelector("#for-field");
  #group = document.querySelector("#for");
  #shown = "";

  /** objects: as in the server's "state". chosen: ids or null. offered: the effect has any use. */
  show(objects, chosen, offered) {
    // One that is gone stays to be unchecked.
    const gone = (chosen ?? []).filter((id) => !objects.some((object) => object.id === id));
    const all = [...objects, ...gone.map((id) => ({ id, name: "gone", colour: "transparent" }))];
    this.#field.hidden = !offered || (all.length < 2 && chosen == null);
    const state = JSON.stringify([all.map(({ id, name }) => [id, name]), chosen]);
    if (state === this.#shown) return;
    this.#shown = state;
    const focused = this.#group.contains(document.activeElement) && document.activeElement.value;
    this.#group.replaceChildren(...all.map((object) => this.#box(object, chosen)));
    if (focused) this.#group.querySelector(`[value="${focused}"]`)?.focus();
  }

  #box({ id, name, colour }, chosen) {
    const label = document.createElement("label");
    label.className = "check";
    const input = document.createElement("input");
    input.type = "checkbox";
    input.value = id;
    input.checked = chosen == null || chosen.includes(id);
    input.addEventListener("change", () => this.#choose());
    const swatch = document.createElement("span");
    swatch.className = "swatch";
    swatch.style.backgroundColor = colour;
    label.append(input, swatch, name ? `${id}: ${name}` : `Object ${id}`);
    return label;
  }

  /** All checked, or none, means all: also those that are still to come. */
  #choose() {
    const boxes = [...this.#group.querySelectorAll("input")];
    const ids = boxes.filter((box) => box.checked).map((box) => Number(box.value));
    const some = ids.length && ids.length < boxes.length;
    this.#shown = "";
    this.dispatchEvent(new CustomEvent("choose", { detail: some ? ids : null }));
  }
}
