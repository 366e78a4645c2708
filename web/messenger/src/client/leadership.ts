/**
 * Leader election between the tabs of this browser, under a name: with a Web Lock, or with a lease in localStorage on
 * pages without locks (by plain HTTP from another machine). In browsers with neither, each tab leads.
 *
 * Two tabs may lead for a moment: when they contend for a lease, or when one takes over from a tab that is suspended.
 * What a leader does has to be harmless when it is done twice.
 */
import { holdLease, leasesWork } from './leases.ts';

export interface Contest {
  /** Takes the lead from another tab; does nothing if this one leads. */
  take(): void;
  /** Resolves when the work is done, or the signal is aborted. */
  readonly done: Promise<void>;
}

export interface ContestOptions {
  /** A visible tab that has waited this long takes the lead, as the other one must be suspended. */
  patienceMs?: number;
  /** Do not elect a leader: each tab works for itself while it is visible. */
  isAlone?: boolean;
}

type Hold = (name: string, steal: boolean, end: AbortSignal, lead: () => Promise<void>) => Promise<void>;

/**
 * Waits for the lead, and then calls `work`. Its signal `end` is aborted when `signal` is, or when another tab takes
 * the lead; in that case this tab waits for the lead again.
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
        // An AbortError means that the wait was aborted, or that another tab took the lead.
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
