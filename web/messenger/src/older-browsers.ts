/**
 * Polyfills for browsers of 2022 and 2023. Import this module before everything else. A browser that cannot parse
 * the script keeps showing the notice in `index.html`.
 */
AbortSignal.any ??= (signals: Iterable<AbortSignal>): AbortSignal => {
  const any = new AbortController();
  for (const signal of signals) {
    if (signal.aborted) any.abort(signal.reason);
    else signal.addEventListener('abort', () => any.abort(signal.reason), { once: true, signal: any.signal });
  }
  return any.signal;
};

AbortSignal.timeout ??= (milliseconds: number): AbortSignal => {
  const limit = new AbortController();
  setTimeout(() => limit.abort(new DOMException('The request timed out.', 'TimeoutError')), milliseconds);
  return limit.signal;
};

URL.canParse ??= (url: string | URL, base?: string | URL): boolean => {
  try {
    return Boolean(new URL(url, base));
  } catch {
    return false;
  }
};
