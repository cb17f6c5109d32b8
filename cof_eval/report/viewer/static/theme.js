// The colour theme, set before anything is drawn: as the system says, or as was chosen here last.
(() => {
  const names = ["auto", "light", "dark"];
  const read = () => {
    try {
      const saved = localStorage.getItem("cof-theme");
      return names.includes(saved) ? saved : "auto";
    } catch {
      return "auto"; // storage is closed to pages of the file system in some browsers
    }
  };
  const apply = (name) => {
    document.documentElement.dataset.theme = name;
    const label = document.querySelector("#theme span");
    if (label) label.textContent = name;
  };
  const next = () => {
    const name = names[(names.indexOf(document.documentElement.dataset.theme) + 1) % names.length];
    try {
      localStorage.setItem("cof-theme", name);
    } catch {
      // the choice holds for this page only
    }
    apply(name);
  };
  apply(read());
  document.addEventListener("DOMContentLoaded", () => {
    apply(document.documentElement.dataset.theme);
    document.getElementById("theme").addEventListener("click", next);
  });
})();
