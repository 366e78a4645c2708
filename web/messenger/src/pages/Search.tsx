import { type FormEvent, type KeyboardEvent, useEffect, useId, useRef, useState } from 'react';
import { useMutation, useQuery } from 'urql';

import { messageOf } from '../client/graphql.ts';
import { OpenConversationDocument, SearchUsersDocument } from '../generated/graphql.ts';
import { Avatar } from '../parts/Avatar.tsx';
import { useFocusIn } from '../parts/focus.ts';
import { useSettled } from '../parts/hooks.ts';
import { conversationPath, navigate } from '../parts/router.tsx';

/** Searches users by the beginning of their name, and opens the conversation with one. */
export function Search() {
  const id = useId();
  const [text, setText] = useState('');
  const search = useSettled(text.trim(), 200, (typed) => !typed);
  const [{ data, error, operation }] = useQuery({
    query: SearchUsersDocument,
    variables: { search },
    pause: !search,
    requestPolicy: 'cache-and-network',
  });
  const [opening, open] = useMutation(OpenConversationDocument);
  /** Why the conversation could not be opened; cleared when the text changes. */
  const [problem, setProblem] = useState('');
  /** Whether Enter was pressed, and waits for the response for this text. */
  const [entered, setEntered] = useState(false);
  const latestText = useRef(text);
  const field = useRef<HTMLInputElement>(null);
  const aroundFocus = useFocusIn<HTMLElement>(field);
  const typed = text.trim().toLowerCase();
  // Results for the previous text are shown as far as they match this one.
  const people = (typed && data?.searchUsers.filter(({ username }) => username.toLowerCase().startsWith(typed))) || [];
  const isAnswered = search === text.trim() && operation?.variables['search'] === search;

  function change(to: string) {
    latestText.current = to;
    setText(to);
    setProblem('');
    setEntered(false);
  }

  async function write(username: string) {
    const { data: opened, error: failed } = await open({ input: { username } });
    // The user has typed something else in the meantime.
    if (latestText.current !== text) return;
    const conversation = opened?.createConversation.conversation;
    if (!conversation) {
      const [userError] = opened?.createConversation.userErrors ?? [];
      return setProblem(userError?.message ?? (failed ? messageOf(failed) : ''));
    }
    change('');
    navigate(conversationPath(conversation.id));
  }

  /** Enter opens the first result, which is the exact match if there is one, once the response has arrived. */
  useEffect(() => {
    if (!entered || !isAnswered) return;
    setEntered(false);
    void write(people[0]?.username ?? text.trim());
  }, [entered, isAnswered]);

  function submit(event: FormEvent) {
    event.preventDefault();
    setEntered(text.trim() !== '');
  }

  function clear(event: KeyboardEvent) {
    if (event.key === 'Escape') change('');
  }

  function found(): string {
    if (problem) return problem;
    if (!search || !isAnswered) return '';
    if (error) return messageOf(error);
    return people.length === 0 ? 'No users found.' : '';
  }

  return (
    <search onKeyDown={clear} {...aroundFocus}>
      <form onSubmit={submit}>
        <label className="visually-hidden" htmlFor={id}>
          Find people
        </label>
        <input
          id={id}
          ref={field}
          type="search"
          value={text}
          onChange={({ target }) => change(target.value)}
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
              <button
                type="button"
                aria-disabled={opening.fetching}
                onClick={() => opening.fetching || void write(user.username)}
              >
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
