/** Where the user is reading in a conversation, to keep the position when it changes, and for Back and Forward. */
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

  /** Whether there is a place, so that the list starts there and not at its end. */
  isKnown(): boolean {
    return places.has(this.#entry);
  }

  /** Whether the place is among these messages. */
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
    const index = firstInSight(scroller, items);
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

/** A message that stays where it is when the list changes above it. */
export class Anchor {
  #messageId: string | undefined;
  /** The distance of the message from the start of the list, in pixels. */
  #at = 0;

  /** Chooses the first message that starts in the visible part of a list that shows these messages. */
  choose(scroller: HTMLElement, messageIds: string[]): void {
    const items = itemsIn(scroller);
    const index = Math.min(firstInSight(scroller, items), items.length - 1);
    const item = items[index];
    this.#messageId = item && messageIds[index];
    if (item) this.#at = scroller.scrollTop + topIn(scroller, item);
  }

  /** Scrolls the list, which now shows these messages, as far as the message has moved since it was chosen. */
  hold(scroller: HTMLElement, messageIds: string[]): void {
    const item = this.#messageId === undefined ? undefined : itemsIn(scroller)[messageIds.indexOf(this.#messageId)];
    if (!item) return;
    const moved = Math.round(scroller.scrollTop + topIn(scroller, item) - this.#at);
    // Assigning the same position would stop a finger's scrolling.
    if (moved !== 0) scroller.scrollTop += moved;
  }
}

/** The index of the first item that starts in the visible part or below it; their number if there is none. */
function firstInSight(scroller: HTMLElement, items: Element[]): number {
  let [low, high] = [0, items.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (topIn(scroller, items[middle] as Element) >= 0) high = middle;
    else low = middle + 1;
  }
  return low;
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
