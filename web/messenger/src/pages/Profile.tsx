/** The viewer's name and picture, notifications, and sessions. */
import { type FormEvent, useEffect, useLayoutEffect, useRef, useState } from 'react';
import { useMutation, useQuery } from 'urql';

import { messageOf } from '../client/graphql.ts';
import { signOut } from '../client/http.ts';
import { useSession } from '../client/session.ts';
import { store, stored, unstore } from '../client/storage.ts';
import { useStore } from '../client/store.ts';
import { EndOtherSessionsDocument, EndSessionDocument, SessionsDocument, UpdateProfileDocument } from '../generated/graphql.ts';
import { Avatar } from '../parts/Avatar.tsx';
import { useFocusIn } from '../parts/focus.ts';
import { Link } from '../parts/router.tsx';
import { Moment } from '../parts/time.tsx';
import { programIn } from '../parts/user-agent.ts';
import { useViewer } from './Home.tsx';

export function Profile({ onSignedOut }: { onSignedOut: () => void }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus({ preventScroll: true }), []);
  return (
    <article className="profile scroller">
      <header className="bar">
        <Link className="back" href="/" aria-label="Back to the conversations">
          <span aria-hidden="true">‹</span>
        </Link>
        <h1 ref={heading} tabIndex={-1}>
          Profile
        </h1>
      </header>
      <NameAndPicture />
      <Notifications />
      <Sessions />
      <SignOut onSignedOut={onSignedOut} />
      {/* The server sets this attribute if it serves GraphiQL. */}
      {'graphiql' in document.documentElement.dataset && (
        <p className="aside">
          For developers: explore the API with <a href="/graphql">GraphiQL</a>.
        </p>
      )}
    </article>
  );
}

function NameAndPicture() {
  const viewer = useViewer();
  const [{ data, error, fetching }, update] = useMutation(UpdateProfileDocument);
  const [saved, setSaved] = useState(false);
  const errors = data?.updateProfile.userErrors ?? [];
  const problemAt = (field: string) => errors.find(({ path }) => path.includes(field))?.message;

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    if (fetching) return;
    const given = new FormData(event.currentTarget);
    const text = (name: string) => String(given.get(name)).trim();
    setSaved(false);
    const { data: answer } = await update({
      input: { username: text('username'), avatarUrl: text('avatarUrl') || null },
    });
    setSaved(answer?.updateProfile.user != null);
  }

  return (
    <section aria-labelledby="about-you">
      <h2 id="about-you">
        <Avatar user={viewer} /> <span dir="auto">{viewer.username}</span>
      </h2>
      <form className="fields" onSubmit={(event) => void submit(event)}>
        <Field label="Name" name="username" value={viewer.username} problem={problemAt('username')} required maxLength={39} />
        <Field
          label="Picture"
          name="avatarUrl"
          type="url"
          value={viewer.avatarUrl ?? ''}
          problem={problemAt('avatarUrl')}
          placeholder="https://"
          maxLength={2000}
        />
        <button className="button" aria-disabled={fetching}>
          Save
        </button>
        <p role="status" className={error ? 'problem' : 'status'}>
          {error ? messageOf(error) : saved ? 'Saved.' : ''}
        </p>
      </form>
    </section>
  );
}

interface FieldProps {
  label: string;
  name: string;
  value: string;
  problem: string | undefined;
  type?: string;
  required?: boolean;
  maxLength: number;
  placeholder?: string;
}

/** Shows the value, also when it changes elsewhere, unless the user has typed another one. */
function Field({ label, name, value, problem, ...rest }: FieldProps) {
  const input = useRef<HTMLInputElement>(null);
  const before = useRef(value);
  useLayoutEffect(() => {
    if (input.current?.value === before.current) input.current.value = value;
    before.current = value;
  }, [value]);
  return (
    <label className="field">
      <span>{label}</span>
      <input
        ref={input}
        name={name}
        defaultValue={value}
        autoComplete="off"
        spellCheck={false}
        aria-describedby={`problem-${name}`}
        aria-invalid={problem !== undefined}
        {...rest}
      />
      <span id={`problem-${name}`} className="problem" role="alert">
        {problem}
      </span>
    </label>
  );
}

const NOTIFY = 'messenger-notify';

/** Whether the user has turned notifications on, and the browser allows them. */
export function notifies(): boolean {
  return 'Notification' in window && Notification.permission === 'granted' && stored(NOTIFY) === 'on';
}

function Notifications() {
  const [on, setOn] = useState(notifies);
  const [refused, setRefused] = useState(false);
  if (!('Notification' in window)) return null;

  async function turn() {
    if (on) unstore(NOTIFY);
    else if ((await Notification.requestPermission()) === 'granted') store(NOTIFY, 'on');
    else setRefused(true);
    setOn(notifies());
  }

  return (
    <section aria-labelledby="notifications">
      <h2 id="notifications">Notifications</h2>
      <p>Get notified of new messages while you are in another tab or window. A tab with Messenger must be open.</p>
      <button type="button" className="button" aria-pressed={on} onClick={() => void turn()}>
        {on ? 'Turn notifications off' : 'Turn notifications on'}
      </button>
      <p role="status" className="problem">
        {refused && 'Your browser blocks notifications. Allow them for this site in its settings.'}
      </p>
    </section>
  );
}

function Sessions() {
  const [{ data, error }, refetch] = useQuery({ query: SessionsDocument, requestPolicy: 'cache-and-network' });
  const [ending, end] = useMutation(EndSessionDocument);
  const [endingOthers, endOthers] = useMutation(EndOtherSessionsDocument);
  const sessions = data?.sessions ?? [];
  const failure = error ?? ending.error ?? endingOthers.error;
  const isEnding = ending.fetching || endingOthers.fetching;
  const heading = useRef<HTMLHeadingElement>(null);
  const aroundFocus = useFocusIn<HTMLElement>(heading);

  async function after(end: () => Promise<unknown>) {
    if (isEnding) return;
    await end();
    refetch({ requestPolicy: 'network-only' });
  }

  return (
    <section aria-labelledby="sessions" {...aroundFocus}>
      <h2 id="sessions" ref={heading} tabIndex={-1}>
        Where you are signed in
      </h2>
      <ul className="sessions">
        {sessions.map(({ id, createdAt, userAgent, current }) => (
          <li key={id}>
            <p>
              <strong dir="auto">{programIn(userAgent)}</strong>
              {current && ' (this session)'}
              <br />
              <small>
                Since <Moment at={createdAt} />
              </small>
            </p>
            {!current && (
              <button
                type="button"
                className="button"
                aria-label={`Sign out ${programIn(userAgent)}`}
                aria-disabled={isEnding}
                onClick={() => void after(() => end({ input: { sessionId: id } }))}
              >
                Sign out
              </button>
            )}
          </li>
        ))}
      </ul>
      {sessions.length > 1 && (
        <button
          type="button"
          className="button"
          aria-disabled={isEnding}
          onClick={() => void after(() => endOthers({}))}
        >
          Sign out everywhere else
        </button>
      )}
      <p role="status" className="problem">
        {failure && messageOf(failure)}
      </p>
    </section>
  );
}

function SignOut({ onSignedOut }: { onSignedOut: () => void }) {
  const session = useSession();
  const changed = useStore(session.changes.items).size;
  const unsent = useStore(session.outbox.items).filter(({ state }) => state !== 'sent').length + changed;
  const [asks, setAsks] = useState(false);
  const [problem, setProblem] = useState<string>();
  async function leave() {
    if (unsent && !asks) return setAsks(true);
    const failure = await signOut();
    setProblem(failure);
    if (failure) return;
    session.forget();
    onSignedOut();
  }
  return (
    <section>
      <button type="button" className="button danger" onClick={() => void leave()}>
        {asks && unsent ? 'Discard and sign out' : 'Sign out'}
      </button>
      <p role="alert" className="problem">
        {problem ??
          (asks &&
            unsent > 0 &&
            `${unsent === 1 ? 'A message or change has' : `${unsent} messages or changes have`} not been sent yet.`)}
      </p>
    </section>
  );
}
