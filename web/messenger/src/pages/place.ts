/** Where one was reading in a conversation, for when Back or Forward comes to it again. */
import { entryKey } from '../parts/router.tsx';

interface Place {
  messageId: string;
  /** How far below the upper edge of the list it begins, in pixels. */
  below: number;
}

const KEPT = 'messenger-places';
const AT_MOST = 50;
const places = new Map<string, Place>(stored());

export class ReadingPlace {
  /** The history's entry that is shown when this is made. */
  readonly #entry = entryKey();

  /** Whether the place is among these messages; then the list is to begin there rather than at its end. */
  isAmong(messageIds: string[]): boolean {
    const place = places.get(this.#entry);
    return place !== undefined && messageIds.includes(place.messageId);
  }

  /** Scrolls the list, which shows these messages, to the place. */
  restore(scroller: HTMLElement, messageIds: string[]): void {
    const place = places.get(this.#entry);
    const message = place && itemsIn(scroller)[messageIds.indexOf(place.messageId)];
    if (message) scroller.scrollTop += topIn(scroller, message) - place.below;
  }

  keep(scroller: HTMLElement, messageIds: string[]): void {
    const items = itemsIn(scroller);
    const index = items.findIndex((item) => topIn(scroller, item) >= 0);
    const [item, messageId] = [items[index], messageIds[index]];
    places.delete(this.#entry);
    if (item && messageId !== undefined) places.set(this.#entry, { messageId, below: topIn(scroller, item) });
    const [oldest] = places.keys();
    if (places.size > AT_MOST && oldest !== undefined) places.delete(oldest);
    store();
  }

  /** The list is at its end, and will be when one comes again. */
  forget(): void {
    if (places.delete(this.#entry)) store();
  }
}

const itemsIn = (scroller: HTMLElement) => [...scroller.querySelectorAll('.day .message')];
const topIn = (scroller: HTMLElement, item: Element) =>
  item.getBoundingClientRect().top - scroller.getBoundingClientRect().top;

function store(): void {
  try {
    sessionStorage.setItem(KEPT, JSON.stringify([...places]));
  } catch {
    // Full, or not allowed: then places last as long as the page.
  }
}

function stored(): [string, Place][] {
  try {
    return JSON.parse(sessionStorage.getItem(KEPT) ?? '[]') as [string, Place][];
  } catch {
    return [];
  }
}
