// The colours that were chosen before, put on before anything is painted. Not a module: those run too late for that.
"use strict";
(() => {
  const chosen = localStorage.getItem("switchyard.theme");
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
})();
