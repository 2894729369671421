// Furo's inline script: the theme that the reader has chosen, before the page is painted.
document.body.dataset.theme = localStorage.getItem("theme") || "auto";
