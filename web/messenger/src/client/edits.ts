/** The edits that the user has begun and not saved, by message, in localStorage. */
import { parsed, stored, storedKeys, unstore, watchStorage } from './storage.ts';
import { forgetTyped, keepTyped, type Typed } from './typed.ts';

export interface Edit {
  messageId: string;
  conversationId: string;
  text: string;
  /** The text and the version of the message that the user edits. */
  original: string;
  version: number;
}

type StoredEdit = Edit & Typed;

export class Edits {
  readonly #prefix: string;

  constructor(viewerId: string) {
    this.#prefix = `messenger-edit-${viewerId}-`;
  }

  get(messageId: string): Edit | undefined {
    return this.#read(this.#prefix + messageId);
  }

  /** The edit in this conversation that the user has typed last. */
  newest(conversationId: string): Edit | undefined {
    return storedKeys(this.#prefix)
      .flatMap((key) => this.#read(key) ?? [])
      .filter((edit) => edit.conversationId === conversationId)
      .reduce<StoredEdit | undefined>((newest, edit) => (newest && newest.at > edit.at ? newest : edit), undefined);
  }

  put(edit: Edit): void {
    keepTyped<StoredEdit>(this.#prefix, edit.messageId, edit);
  }

  remove(messageId: string): void {
    unstore(this.#prefix + messageId);
  }

  /** Calls back when another tab changes an edit. */
  watch(changed: () => void): () => void {
    return watchStorage(this.#prefix, changed);
  }

  clear(): void {
    forgetTyped(this.#prefix);
  }

  #read(key: string): StoredEdit | undefined {
    const edit = parsed<StoredEdit>(stored(key));
    const isWhole =
      edit !== undefined &&
      this.#prefix + String(edit.messageId) === key &&
      typeof edit.conversationId === 'string' &&
      typeof edit.text === 'string' &&
      typeof edit.original === 'string' &&
      typeof edit.version === 'number' &&
      typeof edit.at === 'number';
    return isWhole ? (edit as StoredEdit) : undefined;
  }
}
