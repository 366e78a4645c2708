/** The normalised cache: how pages are merged into one list, and what events change beyond the objects they contain. */
import type { Exchange } from '@urql/core';
import { type Cache, cacheExchange, type ResolveInfo, type Resolver } from '@urql/exchange-graphcache';
import { relayPagination } from '@urql/exchange-graphcache/extras';

import { type InboxEventsSubscription, ReadMarkFragmentDoc } from '../generated/graphql.ts';

/**
 * Live messages are kept in lists of their own, so that a page that was requested before an event and arrives after it
 * does not overwrite them. The order is that of events and pages and not of timestamps, as a server's clock may be set
 * back.
 */
const ARRIVED = 'arrived';
/** Messages of a conversation that arrived when pages of it had been loaded, so they come after these pages. */
const ARRIVED_AFTER_PAGES = 'arrivedAfterPages';

/** Types without an ID, which are stored in the object that contains them. */
const KEYLESS = [
  'CaughtUp',
  'MessageCreated',
  'MessageUpdated',
  'MessageDeleted',
  'ReadMarkMoved',
  'UserUpdated',
  'Participant',
  'UnreadTotals',
  'ServerInfo',
  'ServerLimits',
];

export function makeCache(): Exchange {
  return cacheExchange({
    keys: Object.fromEntries(KEYLESS.map((type) => [type, () => null])),
    // To match fragments. A type of a newer server matches none of them.
    possibleTypes: { Node: ['Conversation', 'Message', 'Session', 'User'] },
    resolvers: {
      Query: { conversations: asResolver(conversationsInOrder, 'ConversationEdge') },
      Conversation: { messages: asResolver(messagesInOrder, 'MessageEdge') },
    },
    updates: {
      Subscription: {
        inboxEvents: ({ inboxEvents }: InboxEventsSubscription, _args, cache, info) => apply(inboxEvents, cache, info),
      },
    },
  });
}

/** Applies an event whose objects have been written to the cache. Doing so again changes nothing. */
function apply(event: InboxEventsSubscription['inboxEvents'], cache: Cache, info: ResolveInfo): void {
  if (event.__typename === 'MessageCreated') {
    const { message } = event;
    const conversation = `Conversation:${message.conversation.id}`;
    const hasPages = cache.inspectFields(conversation).some(({ fieldName }) => fieldName === 'messages');
    arrive(cache, conversation, ARRIVED, `Message:${message.id}`);
    if (hasPages) arrive(cache, conversation, ARRIVED_AFTER_PAGES, `Message:${message.id}`);
    arrive(cache, 'Query', ARRIVED, conversation);
    // The author has read the messages before; there is no other event of it.
    markRead(cache, info, message.conversation, message.author.id, message.id);
  } else if (event.__typename === 'ReadMarkMoved') {
    const { conversation, participant } = event;
    const { user, lastReadMessage } = participant;
    if (lastReadMessage) markRead(cache, info, conversation, user.id, lastReadMessage.id);
  }
}

/** The arguments of the newest page in the query `Conversation`. */
const ONE_PAGE = { last: 50 };

interface OfTwo {
  id: string;
  otherParticipant: { id: string } | null;
}

/**
 * Marks the viewer's loaded messages as read up to this one, if the reader is the only other participant. In a group, a
 * message is read when all have read it, which one mark does not tell.
 */
function markRead(
  cache: Cache,
  info: ResolveInfo,
  { id, otherParticipant }: OfTwo,
  reader: string,
  upTo: string,
): void {
  if (otherParticipant?.id !== reader || !showsReadMarks(cache)) return;
  const field = { ...info, parentKey: `Conversation:${id}`, fieldName: 'messages' };
  const messages = messagesInOrder({}, ONE_PAGE, cache, field)?.nodes ?? [];
  // Before a message that has been read, all have been.
  for (let place = messages.indexOf(`Message:${upTo}`); place >= 0; place--) {
    const key = messages[place] as string;
    if (cache.resolve(key, 'mine') !== true) continue;
    if (cache.resolve(key, 'readByOthers') === true) break;
    cache.writeFragment(ReadMarkFragmentDoc, { id: key.slice('Message:'.length), readByOthers: true });
  }
}

/** Whether the server shows read marks in conversations of two. */
function showsReadMarks(cache: Cache): boolean {
  const limits = cache.resolve(cache.resolve('Query', 'serverInfo') as string, 'limits') as string;
  return (cache.resolve(limits, 'readMarksMaxParticipants') as number) >= 2;
}

/** Moves the item to the end of the list, or appends it. */
function arrive(cache: Cache, owner: string, list: string, key: string): void {
  const others = arrivedIn(cache, owner, list).filter((each) => each !== key);
  cache.link(owner, list, [...others, key]);
}

function arrivedIn(cache: Cache, owner: string, list = ARRIVED): string[] {
  return (cache.resolve(owner, list) as string[] | null | undefined) ?? [];
}

/** Merges the nodes of pages with the arrived ones into one list. */
type Order = (fetched: string[], arrived: string[], cache: Cache, owner: string) => string[];

interface Merged {
  page: object;
  /** The keys of the nodes, in order. */
  nodes: string[];
  /** The keys of the edges of those that were fetched. */
  edges: ReadonlyMap<string, string>;
}

type Merging = (...field: Parameters<Resolver>) => Merged | undefined;

function merging(inOrder: Order): Merging {
  const pages = relayPagination();
  return (parent, args, cache, info) => {
    const page = pages(parent, args, cache, info) as { edges: string[] } | null | undefined;
    if (!page) return undefined;
    const edges = new Map(page.edges.map((edge) => [cache.resolve(edge, 'node') as string, edge]));
    const nodes = inOrder([...edges.keys()], arrivedIn(cache, info.parentKey), cache, info.parentKey);
    return { page, nodes, edges };
  };
}

function asResolver(merge: Merging, edgeType: string): Resolver {
  return (...field) => {
    const merged = merge(...field);
    if (!merged) return undefined;
    const { page, nodes, edges } = merged;
    return { ...page, edges: nodes.map((node) => edges.get(node) ?? { __typename: edgeType, node }) };
  };
}

/** For conversations: each event moves its conversation to the top, as on the server. */
const latestFirst: Order = (fetched, arrived) => {
  const moved = new Set(arrived);
  return [...[...arrived].reverse(), ...fetched.filter((key) => !moved.has(key))];
};

/** For messages: the pages, which have no gaps, followed by what has arrived after the last of them. */
const thenArrived: Order = (fetched, arrived, cache, conversation) => {
  const inPages = new Set(fetched);
  const place = arrived.findLastIndex((key) => inPages.has(key));
  if (place >= 0) return [...fetched, ...arrived.slice(place + 1)];
  const [first] = fetched;
  if (first === undefined) return arrived;
  // No arrived message is on a page. They came after the last page, or long before the first one was loaded.
  const certain = new Set(arrivedIn(cache, conversation, ARRIVED_AFTER_PAGES));
  const createdAt = (key: string) => cache.resolve(key, 'createdAt') as string;
  return [...fetched, ...arrived.filter((key) => certain.has(key) || createdAt(key) >= createdAt(first))];
};

const conversationsInOrder = merging(latestFirst);
const messagesInOrder = merging(thenArrived);
