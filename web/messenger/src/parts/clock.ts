/** The user's date and time zone, which change while a page is open: at midnight, during sleep, or when travelling. */
import { useSyncExternalStore } from 'react';

const CHECK_MS = 20_000;

const watchers = new Set<() => void>();
let known = read();
let stop: (() => void) | undefined;

/** Renders the component again when the date or the time zone changes. */
export function useDay(): string {
  return useSyncExternalStore(watch, () => known);
}

/** Recreates a value when the time zone changes, because date formats keep the zone in which they were created. */
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
  // A timer until midnight would be late after sleep, or when the clock is set.
  const timer = setInterval(look, CHECK_MS);
  document.addEventListener('visibilitychange', look);
  addEventListener('focus', look);
  look();
  return () => {
    clearInterval(timer);
    document.removeEventListener('visibilitychange', look);
    removeEventListener('focus', look);
  };
}
