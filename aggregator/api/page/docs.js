// Shows /openapi.json with Swagger UI. It sends requests to this service only: no validator, no other definitions.
"use strict";

const root = document.documentElement;
const system = matchMedia("(prefers-color-scheme: dark)");
const darken = () => root.classList.toggle("dark-mode", (root.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark");
new MutationObserver(darken).observe(root, { attributeFilter: ["data-theme"] });
system.addEventListener("change", darken);
darken();

SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#docs",
  validatorUrl: null,
  queryConfigEnabled: false,
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  tryItOutEnabled: true,
  persistAuthorization: false,
});
