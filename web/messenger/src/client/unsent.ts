/**
 * The user's messages that the server has not confirmed, in localStorage. Every tab shows them, any tab can send, retry
 * or discard them, and they outlive all tabs. Each has a key of its own, so that tabs do not overwrite each other's.
 */
import { parsed, store, stored, storedKeys, unstore, watchStorage } from './storage.ts';
import { Store } from './store.ts';

export interface Unconfirmed {
  /** The idempotency key. */
  key: string;
  conversationId: string;
  content: string;
  createdAt: string;
  /** Messages of a conversation are sent in this order. */
  place: number;
  /** `sent`: the server has stored it; it is shown here until its event arrives. */
  state: 'waiting' | 'failed' | 'sent';
  problem?: string;
  messageId?: string;
  /** How often the request failed although the server was reachable. */
  rejections?: number;
}

/** How many sent messages are kept until their events arrive. */
const SENT_KEPT = 50;

export class UnsentMessages {
  readonly items: Store<readonly Unconfirmed[]>;
  readonly #prefix: string;
  readonly #unwatch: () => void;

  constructor(viewerId: string) {
    this.#prefix = `messenger-unsent-${viewerId}-`;
    const found = storedKeys(this.#prefix).map((key) => this.#read(key, stored(key)));
    this.items = new Store(inOrder(found.filter((item) => item !== undefined)));
    // A tab that closed between the answer and the event leaves these behind.
    for (const { key, state } of this.items.get()) if (state === 'sent') this.discard(key);
    this.#unwatch = watchStorage(this.#prefix, (key, value) => this.#apply(key, value));
  }

  add(item: Omit<Unconfirmed, 'place'>): void {
    const sent = this.items.get().filter(({ state }) => state === 'sent');
    const old = new Set(sent.slice(0, -SENT_KEPT));
    this.items.set(this.items.get().filter((each) => !old.has(each)));
    this.put({ ...item, place: Math.max(Date.now(), (this.items.get().at(-1)?.place ?? 0) + 1) });
  }

  get(key: string): Unconfirmed | undefined {
    return this.items.get().find((item) => item.key === key);
  }

  put(item: Unconfirmed): void {
    store(this.#prefix + item.key, JSON.stringify(item));
    this.#show(item);
  }

  /** Removes a message whose event has arrived from localStorage; other tabs get the event too. */
  settle(key: string, messageId: string): void {
    const item = this.get(key);
    if (!item) return;
    this.#show({ ...item, state: 'sent', messageId });
    unstore(this.#prefix + key);
  }

  discard(key: string): void {
    this.items.set(this.items.get().filter((item) => item.key !== key));
    unstore(this.#prefix + key);
  }

  clear(): void {
    for (const key of storedKeys(this.#prefix)) unstore(key);
    this.items.set([]);
  }

  /** Reads what another tab has stored or removed, as its event may not have arrived in this tab yet. */
  refresh(key: string): void {
    this.#apply(this.#prefix + key, stored(this.#prefix + key));
  }

  close(): void {
    this.#unwatch();
  }

  #apply(place: string, value: string | null): void {
    const item = this.#read(place, value);
    if (item) return this.#show(item);
    const key = place.slice(this.#prefix.length);
    // A sent message that another tab removes stays visible until its event arrives here.
    this.items.set(this.items.get().filter((each) => each.key !== key || each.state === 'sent'));
  }

  #show(item: Unconfirmed): void {
    const before = this.get(item.key);
    if (before?.state === 'sent' && item.state !== 'sent') return;
    if (before?.messageId && !item.messageId) return;
    this.items.set(inOrder([...this.items.get().filter(({ key }) => key !== item.key), item]));
  }

  #read(place: string, value: string | null): Unconfirmed | undefined {
    const item = parsed<Unconfirmed>(value);
    const isWhole =
      item !== undefined &&
      this.#prefix + String(item.key) === place &&
      typeof item.content === 'string' &&
      typeof item.conversationId === 'string' &&
      typeof item.place === 'number' &&
      !Number.isNaN(Date.parse(String(item.createdAt))) &&
      ['waiting', 'failed', 'sent'].includes(String(item.state));
    return isWhole ? (item as Unconfirmed) : undefined;
  }
}

function inOrder(items: Unconfirmed[]): Unconfirmed[] {
  return items.sort((one, other) => one.place - other.place);
}
