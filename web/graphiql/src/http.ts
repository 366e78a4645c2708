/** What GraphQL over HTTP and this server's own endpoints answer, as far as this page looks. */
export interface Answer {
  data?: Record<string, unknown> | null;
  errors?: readonly { message: string }[];
  error?: { code: string; message: string };
}

/** Reads a response as JSON; whatever else it is (a proxy's page, say) becomes an error to show. */
export async function readAnswer(response: Response): Promise<Answer> {
  const text = await response.text();
  try {
    const body: unknown = JSON.parse(text);
    if (typeof body === 'object' && body !== null) return body;
  } catch {
    // Not JSON: told below.
  }
  const status = `${response.status} ${response.statusText}`.trim();
  return failure(`The server answered ${status}, not JSON: ${text.slice(0, 500) || '(nothing)'}`);
}

/** A failure in the shape of a GraphQL response, so that it is shown where results are. */
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
