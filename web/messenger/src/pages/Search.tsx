import { type FormEvent, type KeyboardEvent, useEffect, useId, useRef, useState } from 'react';
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
  const [{ data, error, operation }] = useQuery({
    query: SearchUsersDocument,
    variables: { search },
    pause: !search,
    requestPolicy: 'cache-and-network',
  });
  const [opening, open] = useMutation(OpenConversationDocument);
  /** Why the conversation with this name could not be opened; it goes when the text changes. */
  const [problem, setProblem] = useState('');
  /** Enter was pressed before the answer for this text had come. */
  const [entered, setEntered] = useState(false);
  const latestText = useRef(text);
  const typed = text.trim().toLowerCase();
  // What was found for another text is shown as far as it goes with this one.
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
    // Whoever has typed something else meanwhile no longer waits for this.
    if (latestText.current !== text) return;
    const conversation = opened?.createConversation.conversation;
    if (!conversation) {
      const [refused] = opened?.createConversation.userErrors ?? [];
      return setProblem(refused?.message ?? (failed ? messageOf(failed) : ''));
    }
    change('');
    navigate(conversationPath(conversation.id));
  }

  /** Enter takes the first, which is the one with exactly that name if there is one, once the answer has come. */
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
    return people.length === 0 ? 'No user has a name that starts like this.' : '';
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
