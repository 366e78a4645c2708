/**
 * One tab of this browser at a time leads, under each name: by a Web Lock, by a lease in localStorage where there are no
 * locks (a page by plain HTTP from another machine), or by itself where the browser has neither.
 *
 * Two tabs may lead for a moment: when a lease is contended for, or when one has been put to sleep and the other takes
 * over. What they do has to be harmless when done twice.
 */
import { holdLease, leasesWork } from './leases.ts';

export interface Contest {
  /** Takes the lead from a tab that does not answer; nothing when this one leads. */
  take(): void;
  /** Resolves when the work is done, or the signal has been given. */
  readonly done: Promise<void>;
}

export interface ContestOptions {
  /** A visible tab that has waited this long takes the lead: the other one is asleep. */
  patienceMs?: number;
  /** What leads cannot be shared with other tabs, so each does it by itself, while it is visible. */
  isAlone?: boolean;
}

type Hold = (name: string, steal: boolean, end: AbortSignal, lead: () => Promise<void>) => Promise<void>;

/**
 * Waits for the lead, and then works until the work is done or `end` is given: the signal was, or another tab took the
 * lead. After that one, this tab waits for the lead again.
 */
export function contend(
  name: string,
  signal: AbortSignal,
  work: (end: AbortSignal) => Promise<void>,
  { patienceMs, isAlone = false }: ContestOptions = {},
): Contest {
  let leads = false;
  let steals = false;
  let attempt = new AbortController();

  const take = () => {
    if (leads) return;
    steals = true;
    attempt.abort();
  };

  async function compete(): Promise<void> {
    let hold = isAlone ? holdWhileVisible : 'locks' in navigator ? holdLock : leasesWork() ? holdLease : holdNothing;
    let isDone = false;
    while (!signal.aborted && !isDone) {
      attempt = new AbortController();
      const end = AbortSignal.any([signal, attempt.signal]);
      const steal = steals;
      steals = false;
      let working = Promise.resolve();
      const lead = () => {
        if (end.aborted) return working;
        leads = true;
        return (working = work(end).then(() => void (isDone = !end.aborted)));
      };
      const timer =
        patienceMs && setInterval(() => document.visibilityState === 'visible' && take(), patienceMs);
      try {
        await hold(name, steal, end, lead);
      } catch (reason) {
        // An AbortError says that we gave up waiting, or that another tab took the lead.
        if (!(reason instanceof DOMException && reason.name === 'AbortError')) {
          if (hold === holdNothing) throw reason;
          hold = hold === holdLock && leasesWork() ? holdLease : holdNothing;
        }
      } finally {
        clearInterval(timer);
        attempt.abort();
        await working;
        leads = false;
      }
    }
  }
  return { take, done: compete() };
}

const holdLock: Hold = async (name, steal, end, lead) => {
  await navigator.locks.request(name, steal ? { steal } : { signal: end }, lead);
};

const holdNothing: Hold = (_name, _steal, _end, lead) => lead();

const holdWhileVisible: Hold = async (_name, _steal, end, lead) => {
  const turned = (to: DocumentVisibilityState) =>
    new Promise<void>((resolve) => {
      const look = () => {
        if (document.visibilityState !== to && !end.aborted) return;
        document.removeEventListener('visibilitychange', look);
        end.removeEventListener('abort', look);
        resolve();
      };
      document.addEventListener('visibilitychange', look);
      end.addEventListener('abort', look);
      look();
    });
  await turned('visible');
  await Promise.race([lead(), turned('hidden')]);
};
