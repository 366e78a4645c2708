import { defineConfig } from 'vite';

export default defineConfig({
  // The page is served at /graphql, so its assets need absolute URLs.
  base: '/graphiql/',
  build: {
    outDir: '../../server/static/graphiql',
    // By default, Vite does not empty a folder outside of its root.
    emptyOutDir: true,
    // The editor is one large chunk, which is loaded once and cached by its hash.
    chunkSizeWarningLimit: 5000,
    // React's libraries mark client modules with a directive, which is irrelevant here.
    rolldownOptions: { checks: { moduleLevelDirective: false } },
  },
});
