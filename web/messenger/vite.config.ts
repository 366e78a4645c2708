import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, gzipSync } from 'node:zlib';

import react from '@vitejs/plugin-react';
import { defineConfig, type Plugin } from 'vite';

const built = join(import.meta.dirname, '../../server/static/messenger');

/** Puts a compressed copy beside each asset, so that the server compresses nothing. */
function precompressed(): Plugin {
  return {
    name: 'precompressed',
    apply: 'build',
    closeBundle() {
      const folder = join(built, 'assets');
      for (const name of readdirSync(folder).filter((each) => /\.(js|css|svg)$/.test(each))) {
        const content = readFileSync(join(folder, name));
        writeFileSync(join(folder, `${name}.br`), brotliCompressSync(content));
        writeFileSync(join(folder, `${name}.gz`), gzipSync(content, { level: 9 }));
      }
    },
  };
}

export default defineConfig({
  plugins: [react(), precompressed()],
  resolve: {
    // The client that resumes lies in graphql/, and finds its library here.
    dedupe: ['graphql-sse'],
  },
  build: {
    outDir: built,
    // Vite empties a folder outside its own only when told to.
    emptyOutDir: true,
    // An asset inlined as a data: address would need a place in the page's policy.
    assetsInlineLimit: 0,
  },
  server: {
    // `npm run dev` with a messenger running.
    proxy: { '^/(graphql|auth)': process.env['MESSENGER_URL'] ?? 'http://localhost:8000' },
  },
});
