/** A small inbox and its schema, for the tests of the resuming client. */
import {
  GraphQLError,
  GraphQLInterfaceType,
  GraphQLNonNull,
  GraphQLObjectType,
  GraphQLSchema,
  GraphQLString,
} from 'graphql';

export interface Said {
  __typename?: string;
  cursor: string;
  text?: string;
}

/** An inbox of texts, in which a cursor is the number of texts before it. */
export class Inbox {
  private readonly texts: (string | undefined)[] = [];
  private readonly waiting = new Set<() => void>();
  trimmedTo = 0;
  isValid = (_cursor: string): boolean => true;
  /** The number of further subscriptions to reject with RATE_LIMITED. */
  limited = 0;

  get cursor(): string {
    return String(this.texts.length);
  }

  add(...texts: string[]): void {
    this.append(...texts);
  }

  /** Adds an entry that was not asked for, so there is only its cursor to deliver. */
  moveOn(): void {
    this.append(undefined);
  }

  private append(...texts: (string | undefined)[]): void {
    this.texts.push(...texts);
    for (const wake of this.waiting) wake();
    this.waiting.clear();
  }

  follow(after: string): AsyncGenerator<Said> {
    if (this.limited-- > 0)
      throw new GraphQLError('Try again.', { extensions: { code: 'RATE_LIMITED', retryAfter: 1 } });
    if (!this.isValid(after)) throw new GraphQLError('Malformed.', { extensions: { code: 'CURSOR_INVALID' } });
    if (Number(after) < this.trimmedTo)
      throw new GraphQLError('Fetch again.', { extensions: { code: 'CURSOR_EXPIRED' } });
    return this.since(Number(after));
  }

  private async *since(position: number): AsyncGenerator<Said> {
    for (;;) {
      for (; position < this.texts.length; position++) {
        const text = this.texts[position];
        const cursor = String(position + 1);
        yield text === undefined ? { __typename: 'CaughtUp', cursor } : { __typename: 'Said', cursor, text };
      }
      await new Promise<void>((wake) => this.waiting.add(wake));
    }
  }
}

/** A schema in which `said` and `events` both follow the inbox; an event of `events` can be of several types. */
export function schemaOf(inbox: Inbox): GraphQLSchema {
  const text = { type: new GraphQLNonNull(GraphQLString) };
  const event = new GraphQLInterfaceType({ name: 'Event', fields: { cursor: text } });
  const interfaces = [event];
  const said = new GraphQLObjectType({ name: 'Said', interfaces, fields: { cursor: text, text } });
  const caughtUp = new GraphQLObjectType({ name: 'CaughtUp', interfaces, fields: { cursor: text } });
  const followed = {
    args: { after: { type: GraphQLString } },
    subscribe: (_: unknown, { after }: { after: string }) => inbox.follow(after),
    resolve: (each: Said) => each,
  };
  return new GraphQLSchema({
    query: new GraphQLObjectType({ name: 'Query', fields: { text } }),
    subscription: new GraphQLObjectType({
      name: 'Subscription',
      fields: { said: { type: said, ...followed }, events: { type: event, ...followed } },
    }),
    types: [caughtUp],
  });
}
