import { defineConfig } from 'vite';

export default defineConfig({
  // The page itself is answered at /graphql, so its assets need absolute addresses.
  base: '/graphiql/',
  build: {
    // The editor is one large chunk by nature, loaded once and cached by its hash.
    chunkSizeWarningLimit: 5000,
  },
});
