// The masthead's buttons. Presenter mode is larger and shows only what is talked about; it is also
// switched on by ?present=1 in the address. Lessons opens and closes the sidebar; a step of a lesson
// begins at the picture.
(() => {
  "use strict";
  const MODE = "tv-present";

  const set = (on) => {
    document.documentElement.classList.toggle(MODE, on);
    const button = document.querySelector("#tv-present");
    if (button) {
      button.setAttribute("aria-pressed", String(on));
      button.textContent = on ? "Leave presenter mode" : "Present";
    }
    const address = new URL(window.location);
    if (on) address.searchParams.set("present", "1");
    else address.searchParams.delete("present");
    window.history.replaceState(null, "", address);
    window.dispatchEvent(new Event("resize"));
  };

  document.addEventListener("click", (event) => {
    if (event.target.closest?.("#tv-lesson-next, #tv-lesson-back")) window.__tokviz.bring("#tv-main");
    const pressed = event.target.closest ? event.target.closest(".tv-modes button") : null;
    if (!pressed) return;
    if (pressed.id === "tv-present") set(!document.documentElement.classList.contains(MODE));
    else document.querySelector("#tv-lessons .toggle-button, .sidebar .toggle-button")?.click();
  });
  const arrive = new MutationObserver(() => {
    if (!document.querySelector("#tv-present")) return;
    arrive.disconnect();
    if (new URL(window.location).searchParams.get("present") === "1") set(true);
  });
  arrive.observe(document.documentElement, { childList: true, subtree: true });
})();
