/**
 * localStorage, which the tabs of this browser share. If it is denied, missing or full, values are kept in memory until
 * the tab closes, and `isDurable` becomes false.
 */
import { Store } from './store.ts';

/** Whether everything that was stored so far outlives the tab. */
export const isDurable = new Store(true);

const memory = new Map<string, string>();

/** Null if the browser denies access (with an exception or with null) or does not have it. */
function area(): Storage | null {
  try {
    return window.localStorage ?? null;
  } catch {
    return null;
  }
}

/** Returns whether the value is stored in localStorage, where other tabs see it. */
export function tryToStore(key: string, value: string): boolean {
  try {
    const storage = area();
    storage?.setItem(key, value);
    return storage !== null;
  } catch {
    return false;
  }
}

export function store(key: string, value: string): void {
  if (tryToStore(key, value)) {
    memory.delete(key);
    return;
  }
  // An older value must not come back instead of this one.
  unstore(key);
  memory.set(key, value);
  isDurable.set(false);
}

export function stored(key: string): string | null {
  const value = memory.get(key);
  if (value !== undefined) return value;
  try {
    return area()?.getItem(key) ?? null;
  } catch {
    return null;
  }
}

export function unstore(key: string): void {
  memory.delete(key);
  try {
    area()?.removeItem(key);
  } catch {
    // There is nothing to remove.
  }
}

export function storedKeys(prefix: string): string[] {
  const keys = new Set(memory.keys());
  try {
    for (const key of Object.keys(area() ?? {})) keys.add(key);
  } catch {
    // There are no keys.
  }
  return [...keys].filter((key) => key.startsWith(prefix));
}

/** Calls back when another tab stores or removes a value under a key with this prefix. */
export function watchStorage(prefix: string, changed: (key: string, value: string | null) => void): () => void {
  const onStorage = ({ key, newValue }: StorageEvent) => {
    if (key?.startsWith(prefix)) changed(key, newValue);
  };
  addEventListener('storage', onStorage);
  return () => removeEventListener('storage', onStorage);
}

/** Parses a stored JSON object; undefined if it is missing or damaged. */
export function parsed<T extends object>(json: string | null): Partial<T> | undefined {
  try {
    const value: unknown = JSON.parse(json ?? 'null');
    return typeof value === 'object' && value !== null ? (value as Partial<T>) : undefined;
  } catch {
    return undefined;
  }
}
