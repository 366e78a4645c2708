/**
 * A lock between tabs for pages without Web Locks: a record in localStorage that its holder renews. Other tabs take an
 * expired record. When two tabs write it at the same time, the last one holds it.
 */
import { newKey } from './keys.ts';
import { stored, tryToStore, unstore } from './storage.ts';

const LEASE_MS = 5000;
const RENEW_MS = 1500;
/** Browsers run the timers of hidden tabs once a minute, and both this tab and the holder may be hidden. */
const HIDDEN_MS = 70_000;
/** How long a browser may take to propagate a record to its other processes. */
const SETTLE_MS = 60;

export function leasesWork(): boolean {
  const key = `${PREFIX}test`;
  const works = tryToStore(key, '');
  if (works) unstore(key);
  return works;
}

const PREFIX = 'messenger-lease-';

/**
 * Waits for the lease and then leads. Throws an AbortError if another tab takes the lease, or `end` is aborted before
 * this one has it.
 */
export async function holdLease(
  name: string,
  steal: boolean,
  end: AbortSignal,
  lead: () => Promise<void>,
): Promise<void> {
  const key = PREFIX + name;
  const me = newKey();
  const renew = () => tryToStore(key, `${me} ${Date.now() + LEASE_MS}`);
  const isMine = () => holderIn(stored(key)) === me;

  for (let first = true; !isMine(); first = false) {
    if ((first && steal) || isFree(stored(key))) {
      if (!renew()) throw new Error('The browser does not store the lease.');
      await change(key, end, SETTLE_MS);
    } else await change(key, end, RENEW_MS);
    if (end.aborted) {
      if (isMine()) unstore(key);
      throw lost();
    }
  }

  const over = new AbortController();
  const release = () => isMine() && unstore(key);
  const taken = new Promise<never>((_, reject) => {
    const check = () => {
      if (!isMine()) reject(lost());
      else renew();
    };
    const timer = setInterval(check, RENEW_MS);
    over.signal.addEventListener('abort', () => clearInterval(timer));
    addEventListener('storage', (event) => event.key === key && check(), { signal: over.signal });
    addEventListener('pagehide', release, { signal: over.signal });
  });
  try {
    await Promise.race([lead(), taken]);
  } finally {
    over.abort();
    release();
  }
}

const lost = () => new DOMException('Another tab has the lease.', 'AbortError');

const holderIn = (record: string | null) => record?.split(' ')[0];

function isFree(record: string | null): boolean {
  const until = Number(record?.split(' ')[1]);
  const left = until - Date.now();
  // A lease that ends too far in the future is from before the clock was set back.
  if (!(left < 2 * LEASE_MS)) return true;
  return left < (document.visibilityState === 'visible' ? 0 : LEASE_MS - HIDDEN_MS);
}

/** Waits until another tab changes the record, the time has passed, or `end` is aborted. */
function change(key: string, end: AbortSignal, milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      removeEventListener('storage', onStorage);
      end.removeEventListener('abort', done);
      resolve();
    };
    const onStorage = (event: StorageEvent) => event.key === key && done();
    const timer = setTimeout(done, milliseconds);
    addEventListener('storage', onStorage);
    end.addEventListener('abort', done);
    if (end.aborted) done();
  });
}
