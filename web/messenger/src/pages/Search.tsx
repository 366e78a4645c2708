import { type FormEvent, type KeyboardEvent, useId, useState } from 'react';
import { useMutation, useQuery } from 'urql';

import { messageOf } from '../client/graphql.ts';
import { OpenConversationDocument, SearchUsersDocument } from '../generated/graphql.ts';
import { Avatar } from '../parts/Avatar.tsx';
import { useSettled } from '../parts/hooks.ts';
import { conversationPath, navigate } from '../parts/router.tsx';

/** Finds people by how their name starts, and opens the conversation with one. */
export function Search() {
  const id = useId();
  const [text, setText] = useState('');
  const search = useSettled(text.trim(), 200, (typed) => !typed);
  const [{ data, error, fetching }] = useQuery({
    query: SearchUsersDocument,
    variables: { search },
    pause: !search,
    requestPolicy: 'cache-and-network',
  });
  const [opening, open] = useMutation(OpenConversationDocument);
  const typed = text.trim().toLowerCase();
  // What was found for another text is shown as far as it goes with this one.
  const people = (typed && data?.searchUsers.filter(({ username }) => username.toLowerCase().startsWith(typed))) || [];
  const [refused] = opening.data?.createConversation.userErrors ?? [];
  const problem = refused?.message ?? (opening.error && messageOf(opening.error));

  async function write(username: string) {
    const { data: opened } = await open({ input: { username } });
    const conversation = opened?.createConversation.conversation;
    if (!conversation) return;
    setText('');
    navigate(conversationPath(conversation.id));
  }

  /** Enter takes the first, which is whom exactly that name belongs to; or that name, if it was faster. */
  function submit(event: FormEvent) {
    event.preventDefault();
    const name = people[0]?.username ?? text.trim();
    if (name) void write(name);
  }

  function clear(event: KeyboardEvent) {
    if (event.key === 'Escape') setText('');
  }

  function found(): string {
    if (problem) return problem;
    if (!search || text.trim() !== search || (fetching && !data)) return '';
    if (error) return messageOf(error);
    return people.length === 0 ? 'Nobody’s name starts like that.' : '';
  }

  return (
    <search onKeyDown={clear}>
      <form onSubmit={submit}>
        <label className="visually-hidden" htmlFor={id}>
          Find people
        </label>
        <input
          id={id}
          type="search"
          value={text}
          onChange={({ target }) => setText(target.value)}
          placeholder="Find people"
          maxLength={39}
          autoCapitalize="none"
          autoComplete="off"
          spellCheck={false}
        />
      </form>
      {people.length > 0 && (
        <ul className="found" aria-label="People found">
          {people.map((user) => (
            <li key={user.id}>
              <button type="button" disabled={opening.fetching} onClick={() => void write(user.username)}>
                <Avatar user={user} />
                <span dir="auto">{user.username}</span>
              </button>
            </li>
          ))}
        </ul>
      )}
      <p className="found-none" role="status">
        {found()}
        {people.length > 0 && <span className="visually-hidden">{people.length} found</span>}
      </p>
    </search>
  );
}
