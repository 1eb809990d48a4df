// The box for words: which there are, and what a person asks for.

/** Calls `ask(text)` for every word that is entered. */
export class Words {
  #form = document.querySelector("#words-form");
  #input = document.querySelector("#word");
  #list = document.querySelector("#words");

  constructor(ask) {
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      const text = this.#input.value.trim();
      if (!text) return;
      this.#input.value = "";
      ask(text);
    });
  }

  /** words, phrases: those of the server's hello, and whether any other will do as well; without
   * either there is no box. */
  offer(words, phrases = false) {
    this.#form.hidden = !words.length && !phrases;
    this.#list.replaceChildren(
      ...words.map((word) => Object.assign(document.createElement("option"), { value: word })),
    );
  }
}
