// The workers must be imported first, because the editor looks for them when it is created.
import 'graphiql/setup-workers/vite';
import 'graphiql/style.css';
import './style.css';

import { GraphiQL } from 'graphiql';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';

import examples from './examples.graphql?raw';
import { fetcher } from './fetcher';
import { SignInBar } from './SignInBar';
import { useWrappedLines } from './useWrappedLines';

const root = document.getElementById('root');
if (!root) throw new Error('The page has no #root element.');

function Page() {
  useWrappedLines();
  return (
    <>
      <SignInBar />
      <main>
        <GraphiQL
          fetcher={fetcher}
          // Shown to users who have not opened tabs in this browser yet.
          defaultTabs={[{ query: examples }]}
        />
      </main>
    </>
  );
}

createRoot(root).render(
  <StrictMode>
    <Page />
  </StrictMode>,
);
