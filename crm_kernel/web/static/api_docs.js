// Starts Swagger UI on the document named by the page; kept apart because the page may hold no inline script.
(function () {
  "use strict";
  const place = document.getElementById("swagger");
  window.SwaggerUIBundle({ url: place.dataset.url, domNode: place, deepLinking: true, validatorUrl: null });
})();
