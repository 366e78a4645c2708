/**
 * A fetch for queries and mutations that retries until it has a complete response. Every operation of this API can
 * be retried safely; for createMessage, send an idempotencyKey so that a retry does not store a second message.
 */
export const retryingFetch: typeof fetch = async (input, init) => {
  for (let failures = 1; ; failures++) {
    try {
      const response = await fetch(input, init);
      const body = await response.text(); // Read here, because the connection can break before the end.
      if (!TEMPORARY.has(response.status) || failures === ATTEMPTS) return new Response(body || null, response);
    } catch (reason) {
      if (init?.signal?.aborted || failures === ATTEMPTS) throw reason;
    }
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 500 * 2 ** failures));
  }
};

const ATTEMPTS = 6;
const TEMPORARY = new Set([408, 425, 429, 502, 503, 504]);
