/** The parts of responses from GraphQL and the other endpoints that this page uses. */
export interface Answer {
  data?: Record<string, unknown> | null;
  errors?: readonly { message: string }[];
  error?: { code: string; message: string };
}

/** Reads a response as JSON; anything else, such as a proxy's page, becomes an error. */
export async function readAnswer(response: Response): Promise<Answer> {
  const text = await response.text();
  try {
    const body: unknown = JSON.parse(text);
    if (typeof body === 'object' && body !== null) return body;
  } catch {
    // Not JSON, reported below.
  }
  const status = `${response.status} ${response.statusText}`.trim();
  return failure(`The server answered ${status} without JSON: ${text.slice(0, 500) || '(empty)'}`);
}

/** Wraps a failure in a GraphQL response, so that it is shown with the results. */
export function failure(reason: unknown): Answer {
  return { errors: [{ message: reason instanceof Error ? reason.message : String(reason) }] };
}

export function errorMessage(answer: Answer): string | undefined {
  return answer.error?.message ?? answer.errors?.[0]?.message;
}

export function postJson(
  url: string,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<Response> {
  return fetch(url, {
    method: 'POST',
    credentials: 'same-origin',
    headers: { ...headers, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
}
