import type { UserFieldsFragment } from '../generated/graphql.ts';

/** Returns what a user is called; removed users have no name. */
export function nameOf({ username, removedAt }: UserFieldsFragment): string {
  return removedAt ? 'Removed user' : username;
}

/** Returns what a conversation is called, given the other user in it if there is only one. */
export function titleOf(other: UserFieldsFragment | null): string {
  return other ? nameOf(other) : 'Several people';
}
