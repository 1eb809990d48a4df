// The list of tracked objects, and which of them the next click refines.

/** Dispatches "remove" (detail: object id) when a person asks for it. */
export class Objects extends EventTarget {
  #list = document.querySelector("#objects");
  #hint = document.querySelector("#objects-hint");
  #newObject = document.querySelector("#new-object");
  #rows = new Map();
  #target = { id: null, asked: false };
  #live = false;

  get count() {
    return this.#rows.size;
  }

  /** Id of the object that the next click refines; null: it starts a new one. */
  get selected() {
    return this.#target.id;
  }

  /**
   * What clicks are for until the next select: {id, asked}. Clicks that wait for the server keep
   * the target of their time; `asked` says that there are some, and `settle` gives the target the
   * id of the object that the first of them made.
   */
  get target() {
    return this.#target;
  }

  select(id) {
    this.#target = { id, asked: false };
    this.#render();
  }

  settle(target, id) {
    target.id = id;
    this.#render();
  }

  /** objects: as in the server's "state". */
  update(objects) {
    const known = new Set(objects.map(({ id }) => id));
    for (const [id, row] of this.#rows) {
      if (!known.has(id)) this.#drop(id, row);
    }
    for (const object of objects) {
      if (!this.#rows.has(object.id)) this.#add(object.id);
      this.#fill(this.#rows.get(object.id), object);
    }
    this.#render();
  }

  /** live: whether there is a session whose objects these are. */
  reset(live) {
    this.#live = live;
    this.update([]);
    this.select(null);
  }

  #drop(id, row) {
    if (row.item.contains(document.activeElement)) this.#newObject.focus();
    row.item.remove();
    this.#rows.delete(id);
    // Only now: an object just made is selected before the server's list names it.
    if (this.selected === id) this.#target = { id: null, asked: false };
  }

  #add(id) {
    const item = document.createElement("li");
    const choose = document.createElement("button");
    choose.type = "button";
    choose.className = "choose";
    const swatch = document.createElement("span");
    swatch.className = "swatch";
    const name = document.createElement("span");
    name.className = "name";
    const sight = document.createElement("span");
    sight.className = "sight";
    choose.append(swatch, name, sight);
    choose.addEventListener("click", () => this.select(id));
    const remove = document.createElement("button");
    remove.type = "button";
    remove.className = "icon";
    remove.textContent = "×";
    remove.title = `Remove object ${id}`;
    remove.setAttribute("aria-label", remove.title);
    remove.addEventListener("click", () => {
      this.dispatchEvent(new CustomEvent("remove", { detail: id }));
    });
    item.dataset.object = id;
    item.append(choose, remove);
    this.#list.append(item);
    this.#rows.set(id, { item, choose, swatch, name, sight });
  }

  #fill({ item, swatch, name, sight }, { id, name: word, colour, visible }) {
    name.textContent = word ? `${id}: ${word}` : `Object ${id}`;
    item.dataset.visible = visible;
    item.dataset.colour = colour;
    swatch.style.backgroundColor = colour;
    sight.textContent = visible ? "in view" : "hidden";
  }

  #render() {
    for (const [id, { choose }] of this.#rows) {
      choose.setAttribute("aria-pressed", String(id === this.selected));
    }
    this.#newObject.setAttribute("aria-pressed", String(this.#live && this.selected === null));
    this.#hint.textContent = this.#advice();
  }

  #advice() {
    if (!this.#live) return "Nothing is tracked yet.";
    if (this.selected !== null) return `Clicks now refine object ${this.selected}.`;
    if (this.#rows.size) return "The next click starts another object.";
    return "Click something in the picture, or drag a box around it.";
  }
}
