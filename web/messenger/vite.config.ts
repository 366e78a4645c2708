import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, gzipSync } from 'node:zlib';

import react from '@vitejs/plugin-react';
import { defineConfig, type Plugin } from 'vite';

const built = join(import.meta.dirname, '../../server/static/messenger');

/** Writes compressed copies of each asset, so that the server does not have to compress them. */
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
    // graphql/client/resuming.ts imports this library, which is installed here.
    dedupe: ['graphql-sse'],
  },
  build: {
    outDir: built,
    // By default, Vite does not empty a folder outside of its root.
    emptyOutDir: true,
    // The page's Content-Security-Policy does not allow assets that are inlined as data: URLs.
    assetsInlineLimit: 0,
  },
  server: {
    // For `npm run dev`, with a messenger server running.
    proxy: { '^/(graphql|auth)': process.env['MESSENGER_URL'] ?? 'http://localhost:8000' },
  },
});
