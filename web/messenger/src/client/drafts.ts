/** The user's draft in each conversation, in localStorage. */
import { parsed, stored, unstore, watchStorage } from './storage.ts';
import { forgetTyped, keepTyped, type Typed } from './typed.ts';

export class Drafts {
  readonly #prefix: string;

  constructor(viewerId: string) {
    this.#prefix = `messenger-draft-${viewerId}-`;
  }

  get(conversationId: string): string {
    return textIn(stored(this.#prefix + conversationId));
  }

  /** Stores the draft; deletes it if the text is empty. */
  set(conversationId: string, text: string): void {
    if (text) keepTyped<Typed>(this.#prefix, conversationId, { text });
    else unstore(this.#prefix + conversationId);
  }

  /** Calls back when another tab changes the draft. */
  watch(conversationId: string, changed: (text: string) => void): () => void {
    const place = this.#prefix + conversationId;
    return watchStorage(place, (key, value) => key === place && changed(textIn(value)));
  }

  clear(): void {
    forgetTyped(this.#prefix);
  }
}

function textIn(value: string | null): string {
  const text = parsed<Typed>(value)?.text;
  return typeof text === 'string' ? text : '';
}
