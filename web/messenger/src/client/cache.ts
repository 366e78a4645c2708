/** The normalised cache: how pages become one list, and where a message goes that comes live. */
import type { Exchange } from '@urql/core';
import { type Cache, cacheExchange, type Resolver } from '@urql/exchange-graphcache';
import { relayPagination } from '@urql/exchange-graphcache/extras';

import type { MessageCreatedSubscription } from '../generated/graphql.ts';

/**
 * What has come live is kept in a list of its own beside the pages that were fetched: a page that was asked for
 * before and is answered after an event cannot overwrite it.
 */
const ARRIVED = 'arrived';

export function makeCache(): Exchange {
  return cacheExchange({
    resolvers: {
      Query: { conversations: pagesAnd('ConversationEdge', (arrived) => arrived) },
      Conversation: { messages: pagesAnd('MessageEdge', since) },
    },
    updates: {
      Subscription: {
        messageCreated({ messageCreated }: MessageCreatedSubscription, _args, cache) {
          const { message } = messageCreated;
          arrive(cache, 'Query', `Conversation:${message.conversation.id}`);
          arrive(cache, `Conversation:${message.conversation.id}`, `Message:${message.id}`);
        },
      },
    },
  });
}

function arrive(cache: Cache, list: string, key: string): void {
  const arrived = arrivedIn(cache, list);
  if (!arrived.includes(key)) cache.link(list, ARRIVED, [...arrived, key]);
}

function arrivedIn(cache: Cache, list: string): string[] {
  return (cache.resolve(list, ARRIVED) as string[] | null | undefined) ?? [];
}

/** All pages in one, and after them those of the arrived that `later` leaves. */
function pagesAnd(
  edgeType: string,
  later: (arrived: string[], last: string | undefined, cache: Cache) => string[],
): Resolver {
  const pages = relayPagination();
  return (parent, args, cache, info) => {
    const page = pages(parent, args, cache, info) as { edges: string[] } | null | undefined;
    if (!page) return page;
    const nodes = page.edges.map((edge) => cache.resolve(edge, 'node') as string);
    const fetched = new Set(nodes);
    const arrived = later(arrivedIn(cache, info.parentKey), nodes.at(-1), cache);
    const edges = arrived.filter((key) => !fetched.has(key)).map((node) => ({ __typename: edgeType, node }));
    return { ...page, edges: [...page.edges, ...edges] };
  };
}

/** Those that came after the last message of the pages, which are without gaps up to it. */
function since(arrived: string[], last: string | undefined, cache: Cache): string[] {
  if (last === undefined) return arrived;
  const place = arrived.lastIndexOf(last);
  if (place >= 0) return arrived.slice(place + 1);
  const createdAt = (key: string) => cache.resolve(key, 'createdAt') as string;
  return arrived.filter((key) => createdAt(key) >= createdAt(last));
}
