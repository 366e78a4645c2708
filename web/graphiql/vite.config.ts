import { defineConfig } from 'vite';

export default defineConfig({
  // The page itself is answered at /graphql, so its assets need absolute addresses.
  base: '/graphiql/',
  build: {
    outDir: '../../server/static/graphiql',
    // Vite empties a folder outside its own only when told to.
    emptyOutDir: true,
    // The editor is one large chunk by nature, loaded once and cached by its hash.
    chunkSizeWarningLimit: 5000,
    // React's libraries mark what runs in a browser; all of this does.
    rolldownOptions: { checks: { moduleLevelDirective: false } },
  },
});
