/** A menu of actions, beside the pointer or the button that opened it, or at the bottom of a phone. */
import { type KeyboardEvent, useRef } from 'react';

import { closeDialog, Dialog } from './Dialog.tsx';

export interface MenuItem {
  label: string;
  isDanger?: boolean;
  act: () => void;
}

/** A point of the window, in pixels. */
export interface Point {
  x: number;
  y: number;
}

interface Props {
  label: string;
  /** What the actions apply to. It is shown on a phone, where the menu may cover it. */
  quote: string;
  at: Point;
  items: MenuItem[];
  onClose: () => void;
}

/** The distance to the edges of the window, in pixels. */
const MARGIN = 8;

export function Menu({ label, quote, at, items, onClose }: Props) {
  const list = useRef<HTMLUListElement>(null);
  const first = useRef<HTMLButtonElement>(null);

  function place(dialog: HTMLDialogElement) {
    const { width, height } = dialog.getBoundingClientRect();
    const below = at.y + height + MARGIN <= innerHeight;
    const left = Math.max(MARGIN, Math.min(at.x, innerWidth - width - MARGIN));
    const top = Math.max(MARGIN, below ? at.y : at.y - height);
    dialog.style.setProperty('--left', `${left}px`);
    dialog.style.setProperty('--top', `${top}px`);
  }

  function onKeyDown(event: KeyboardEvent) {
    const buttons = [...(list.current?.querySelectorAll('button') ?? [])];
    const current = buttons.findIndex((button) => button === document.activeElement);
    const next = nextItem(event.key, current, items);
    if (next === undefined && event.key !== 'Tab') return;
    event.preventDefault();
    if (next === undefined) closeDialog(event);
    else buttons.at(next)?.focus();
  }

  return (
    <Dialog className="menu" aria-label={label} onClose={onClose} place={place} first={first}>
      <p className="quote" dir="auto">
        {quote}
      </p>
      <ul ref={list} role="menu" aria-label={label} onKeyDown={onKeyDown}>
        {items.map(({ label, isDanger, act }, index) => (
          <li key={label} role="none">
            <button
              type="button"
              role="menuitem"
              tabIndex={-1}
              ref={index === 0 ? first : undefined}
              className={isDanger ? 'danger' : undefined}
              onClick={(event) => {
                closeDialog(event);
                act();
              }}
            >
              {label}
            </button>
          </li>
        ))}
      </ul>
    </Dialog>
  );
}

/** The index of the item that a key moves to; `undefined` if it does not move. */
function nextItem(key: string, current: number, items: MenuItem[]): number | undefined {
  if (key === 'ArrowDown') return (current + 1) % items.length;
  if (key === 'ArrowUp') return current - 1;
  if (key === 'Home') return 0;
  if (key === 'End') return -1;
  const found = items.findIndex(({ label }) => key.length === 1 && label.toLowerCase().startsWith(key.toLowerCase()));
  return found < 0 ? undefined : found;
}
