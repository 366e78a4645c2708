import type { CombinedError } from '@urql/core';
import { useState } from 'react';

import { messageOf } from '../client/graphql.ts';
import { useReached } from './hooks.ts';

interface Props {
  /** Fetches the next page; give each page a `key`. */
  load: () => Promise<{ error?: CombinedError | undefined }>;
  margin: string;
}

/** The end of a list: when it is scrolled near, the next page is fetched. */
export function LoadMore({ load, margin }: Props) {
  const [loading, setLoading] = useState(false);
  const [problem, setProblem] = useState<string>();
  const end = useReached<HTMLParagraphElement>(() => loading || problem || void fetchPage(), margin);

  async function fetchPage() {
    setLoading(true);
    const { error } = await load();
    setLoading(false);
    // Without an error, the page has been added, and this component has been unmounted.
    setProblem(error && messageOf(error));
  }

  return (
    <p ref={end} className="more" role="status">
      {problem ?? 'Loading…'}{' '}
      {problem && (
        <button type="button" className="button" onClick={() => void fetchPage()}>
          Try again
        </button>
      )}
    </p>
  );
}
