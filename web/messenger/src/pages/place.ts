/** Where the user was reading in a conversation, to restore the position after Back or Forward. */
import { entryKey } from '../parts/router.tsx';

interface Place {
  messageId: string;
  /** The distance of the message from the upper edge of the list, in pixels. */
  below: number;
}

const KEY = 'messenger-places';
const MAX_PLACES = 50;
const places = new Map<string, Place>(stored());

export class ReadingPlace {
  /** The history entry that is current when this object is created. */
  readonly #entry = entryKey();

  /** Whether the place is among these messages, so that the list starts there and not at its end. */
  isAmong(messageIds: string[]): boolean {
    const place = places.get(this.#entry);
    return place !== undefined && messageIds.includes(place.messageId);
  }

  /** Scrolls a list that shows these messages to the place. */
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
    if (places.size > MAX_PLACES && oldest !== undefined) places.delete(oldest);
    store();
  }

  /** Deletes the place, because the list is at its end. */
  forget(): void {
    if (places.delete(this.#entry)) store();
  }
}

const itemsIn = (scroller: HTMLElement) => [...scroller.querySelectorAll('.day .message')];
const topIn = (scroller: HTMLElement, item: Element) =>
  item.getBoundingClientRect().top - scroller.getBoundingClientRect().top;

function store(): void {
  try {
    sessionStorage.setItem(KEY, JSON.stringify([...places]));
  } catch {
    // If storage is full or denied, places last as long as the page.
  }
}

function stored(): [string, Place][] {
  try {
    return JSON.parse(sessionStorage.getItem(KEY) ?? '[]') as [string, Place][];
  } catch {
    return [];
  }
}
