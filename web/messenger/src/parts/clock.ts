/** The reader's day and time zone, which change under an open page: at midnight, in a sleep, on a journey. */
import { useSyncExternalStore } from 'react';

const LOOKS_EVERY_MS = 20_000;

const watchers = new Set<() => void>();
let known = read();
let stop: (() => void) | undefined;

/** Has the component rendered again when another day begins, or another zone applies. */
export function useDay(): string {
  return useSyncExternalStore(watch, () => known);
}

/** Makes a value again whenever the zone has changed: date formats keep the zone they were made in. */
export function perZone<T>(make: () => T): () => T {
  let made = make();
  let madeIn = zone();
  return () => {
    const now = zoneIn(known);
    if (now !== madeIn) [made, madeIn] = [make(), now];
    return made;
  };
}

function zone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone;
}

function read(): string {
  return `${new Date().toDateString()}|${zone()}`;
}

function zoneIn(day: string): string {
  return day.slice(day.indexOf('|') + 1);
}

function look(): void {
  const now = read();
  if (now === known) return;
  known = now;
  for (const watcher of [...watchers]) watcher();
}

function watch(watcher: () => void): () => void {
  watchers.add(watcher);
  stop ??= start();
  return () => {
    watchers.delete(watcher);
    if (watchers.size > 0) return;
    stop?.();
    stop = undefined;
  };
}

function start(): () => void {
  // A timer until midnight would be late after a sleep, or when the clock is set.
  const timer = setInterval(look, LOOKS_EVERY_MS);
  document.addEventListener('visibilitychange', look);
  addEventListener('focus', look);
  look();
  return () => {
    clearInterval(timer);
    document.removeEventListener('visibilitychange', look);
    removeEventListener('focus', look);
  };
}
