/** The normalised cache: how pages become one list, and where a message goes that comes live. */
import type { Exchange } from '@urql/core';
import { type Cache, cacheExchange, type Resolver } from '@urql/exchange-graphcache';
import { relayPagination } from '@urql/exchange-graphcache/extras';

import type { MessageCreatedSubscription } from '../generated/graphql.ts';

/**
 * What has come live is kept in lists of its own beside the pages that were fetched: a page that was asked for
 * before and is answered after an event cannot overwrite it. Order is that of events and pages, never that of times:
 * a server's clock may be set back.
 */
const ARRIVED = 'arrived';
/** Those of a conversation's arrived messages that came when pages of it were there: they are after these. */
const ARRIVED_AFTER_PAGES = 'arrivedAfterPages';

export function makeCache(): Exchange {
  return cacheExchange({
    resolvers: {
      Query: { conversations: pagesAnd('ConversationEdge', latestFirst) },
      Conversation: { messages: pagesAnd('MessageEdge', thenArrived) },
    },
    updates: {
      Subscription: {
        messageCreated({ messageCreated }: MessageCreatedSubscription, _args, cache) {
          const { message } = messageCreated;
          const conversation = `Conversation:${message.conversation.id}`;
          const hasPages = cache.inspectFields(conversation).some(({ fieldName }) => fieldName === 'messages');
          arrive(cache, conversation, ARRIVED, `Message:${message.id}`);
          if (hasPages) arrive(cache, conversation, ARRIVED_AFTER_PAGES, `Message:${message.id}`);
          arrive(cache, 'Query', ARRIVED, conversation);
        },
      },
    },
  });
}

/** Puts it last in the list, where it may have been before. */
function arrive(cache: Cache, owner: string, list: string, key: string): void {
  const others = arrivedIn(cache, owner, list).filter((each) => each !== key);
  cache.link(owner, list, [...others, key]);
}

function arrivedIn(cache: Cache, owner: string, list = ARRIVED): string[] {
  return (cache.resolve(owner, list) as string[] | null | undefined) ?? [];
}

/** What a list shows of the pages' nodes and those that have arrived since. */
type Order = (fetched: string[], arrived: string[], cache: Cache, owner: string) => string[];

function pagesAnd(edgeType: string, inOrder: Order): Resolver {
  const pages = relayPagination();
  return (parent, args, cache, info) => {
    const page = pages(parent, args, cache, info) as { edges: string[] } | null | undefined;
    if (!page) return page;
    const edges = new Map(page.edges.map((edge) => [cache.resolve(edge, 'node') as string, edge]));
    const nodes = inOrder([...edges.keys()], arrivedIn(cache, info.parentKey), cache, info.parentKey);
    return { ...page, edges: nodes.map((node) => edges.get(node) ?? { __typename: edgeType, node }) };
  };
}

/** Conversations: each event moves one to the top, as it does on the server. */
const latestFirst: Order = (fetched, arrived) => {
  const moved = new Set(arrived);
  return [...[...arrived].reverse(), ...fetched.filter((key) => !moved.has(key))];
};

/** Messages: the pages, which are without gaps, and after their last what has arrived since. */
const thenArrived: Order = (fetched, arrived, cache, conversation) => {
  const inPages = new Set(fetched);
  const place = arrived.findLastIndex((key) => inPages.has(key));
  if (place >= 0) return [...fetched, ...arrived.slice(place + 1)];
  const [first] = fetched;
  if (first === undefined) return arrived;
  // None of them is on a page: they came after the last, or long before the first while no page was there.
  const certain = new Set(arrivedIn(cache, conversation, ARRIVED_AFTER_PAGES));
  const createdAt = (key: string) => cache.resolve(key, 'createdAt') as string;
  return [...fetched, ...arrived.filter((key) => certain.has(key) || createdAt(key) >= createdAt(first))];
};
