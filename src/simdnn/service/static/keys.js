// Keys: whatever has data-key is clicked, or focused if one types into it, when its key is pressed.
// In a grid, j and k move from card to card, and a card's own keys come first.
"use strict";

(() => {
  let place = -1;

  const cards = () => [...document.querySelectorAll("[data-card]")];
  const focusCard = (index) => {
    const all = cards();
    if (all.length) all[Math.max(0, Math.min(index, all.length - 1))].querySelector("a").focus();
  };
  const types = (element) => element.matches("input, textarea, select");

  document.addEventListener("focusin", (event) => {
    const card = event.target.closest("[data-card]");
    place = card ? cards().indexOf(card) : -1;
  });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const at = event.target;
    if (at instanceof Element && types(at)) {
      if (event.key === "Escape") at.blur();
      return;
    }
    const card = at instanceof Element ? at.closest("[data-card]") : null;
    const wanted = `[data-key="${CSS.escape(event.key)}"]`;
    const found =
      (card && card.querySelector(wanted)) ||
      [...document.querySelectorAll(wanted)].find((element) => !element.closest("[data-card]"));
    if (found) {
      event.preventDefault();
      if (types(found)) found.focus();
      else found.click();
    } else if ((event.key === "j" || event.key === "k") && cards().length) {
      event.preventDefault();
      focusCard(place < 0 ? 0 : place + (event.key === "j" ? 1 : -1));
    }
  });

  // A page that comes in place of another keeps the place in the grid.
  let kept = -1;
  document.addEventListener("htmx:beforeSwap", () => { kept = place; });
  document.addEventListener("htmx:afterSettle", () => {
    if (kept >= 0 && cards().length) focusCard(kept);
    kept = -1;
  });
})();
