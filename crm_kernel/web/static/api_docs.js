// Starts Swagger UI on the document named by the page; kept apart because the page may hold no inline script.
(function () {
  "use strict";
  const root = document.documentElement;
  const place = document.getElementById("swagger");
  // theme.js has chosen before the first paint and tells of every change; Swagger UI has a class for it.
  const follow = () => root.classList.toggle("dark-mode", root.dataset.bsTheme === "dark");
  follow();
  document.addEventListener("crm:theme", follow);
  window.SwaggerUIBundle({ url: place.dataset.url, domNode: place, deepLinking: true, validatorUrl: null });
})();
