import './older-browsers.ts';
import './style/base.css';
import './style/frame.css';
import './style/conversation.css';
import './style/pages.css';
import './style/dialogs.css';

import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';

import { App } from './App.tsx';
import { showWhetherAttended } from './client/attended.ts';
import { BrokenPage, ErrorBoundary } from './parts/ErrorBoundary.tsx';

const root = document.getElementById('root');
if (!root) throw new Error('The page has no #root element.');

showWhetherAttended();
createRoot(root).render(
  <StrictMode>
    <ErrorBoundary
      instead={(problem) => (
        <main>
          <BrokenPage problem={problem} />
        </main>
      )}
    >
      <App />
    </ErrorBoundary>
  </StrictMode>,
);
