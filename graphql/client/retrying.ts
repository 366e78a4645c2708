/**
 * A fetch for queries and mutations that asks again until there is an answer, whole. That is safe with every
 * operation of this API: a message that is sent again with its idempotencyKey is still one message.
 */
export const retryingFetch: typeof fetch = async (input, init) => {
  for (let failures = 1; ; failures++) {
    try {
      const response = await fetch(input, init);
      const body = await response.text(); // Read here, as the connection may break before its end.
      if (!TEMPORARY.has(response.status) || failures === ATTEMPTS) return new Response(body || null, response);
    } catch (reason) {
      if (init?.signal?.aborted || failures === ATTEMPTS) throw reason;
    }
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 500 * 2 ** failures));
  }
};

const ATTEMPTS = 6;
const TEMPORARY = new Set([408, 425, 429, 502, 503, 504]);
