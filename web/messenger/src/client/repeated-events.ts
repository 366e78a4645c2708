/** Keeps responses from overwriting the events that arrived while the request was running. */
import { type Exchange, makeErrorResult, type OperationResult } from '@urql/core';
import { fromArray, mergeMap, pipe, tap } from 'wonka';

/** How many events are remembered for running requests, which time out after 20 seconds. */
const REMEMBERED = 1000;

/**
 * A response may be older than the events that arrived since its request was sent, so these are applied again after it.
 * The response may also be newer than some of them; later events then restore what it said. Results that are passed on
 * again have the extension `repeated`.
 */
export const repeatEvents: Exchange = ({ forward }) => {
  /** The last events. There are none while no request is running. */
  let events: OperationResult[] = [];
  let count = 0;
  /** The number of events before each running request, by the key of its operation. */
  const running = new Map<number, number>();

  function after(result: OperationResult): OperationResult[] {
    const { key, kind } = result.operation;
    if (kind === 'subscription') {
      if (running.size > 0 && result.data) {
        count++;
        events = [...events.slice(1 - REMEMBERED), result];
      }
      return [result];
    }
    const missed = count - (running.get(key) ?? count);
    running.delete(key);
    const again = missed > 0 ? events.slice(-missed).map(asRepeated) : [];
    if (running.size === 0) events = [];
    // Queries are retried after this error.
    if (missed > REMEMBERED && kind === 'query')
      return [makeErrorResult(result.operation, new Error('Too many events arrived before the response.'))];
    return [result, ...again];
  }

  return (operations) =>
    pipe(
      operations,
      tap(({ key, kind }) => {
        if (kind === 'teardown') running.delete(key);
        else if (kind !== 'subscription' && !running.has(key)) running.set(key, count);
      }),
      forward,
      mergeMap((result) => fromArray(after(result))),
    );
};

const asRepeated = (result: OperationResult): OperationResult => ({
  ...result,
  extensions: { ...result.extensions, repeated: true },
});

/** Whether the result was passed on before. */
export const isRepeated = ({ extensions }: Pick<OperationResult, 'extensions'>) => extensions?.['repeated'] === true;
