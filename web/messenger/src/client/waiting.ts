/**
 * Exponential backoff with jitter, up to ten seconds, in addition to `leastMs`; ends early when the browser comes online.
 */
export function backOff(failures: number, signal?: AbortSignal, leastMs = 0): Promise<void> {
  const longest = Math.min(LONGEST_MS, 500 * 2 ** failures);
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      removeEventListener('online', done);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, leastMs + Math.random() * longest);
    addEventListener('online', done);
    signal?.addEventListener('abort', done);
  });
}

export const LONGEST_MS = 10_000;
