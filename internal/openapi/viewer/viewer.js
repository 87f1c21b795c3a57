// Shows the OpenAPI document. Addresses are relative to the page, so that it works below any path of a proxy.
const dark = matchMedia('(prefers-color-scheme: dark)');
const show = () => document.documentElement.classList.toggle('dark-mode', dark.matches);
dark.addEventListener('change', show);
show();

SwaggerUIBundle({
  url: 'openapi.json',
  dom_id: '#viewer',
  presets: [SwaggerUIBundle.presets.apis],
  layout: 'BaseLayout',
  deepLinking: true,
  validatorUrl: null, // a service of others
  supportedSubmitMethods: ['get'],
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
});
