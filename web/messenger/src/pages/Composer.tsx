import { type FormEvent, type KeyboardEvent, type RefObject, useEffect, useId, useLayoutEffect, useState } from 'react';

import { useSession } from '../client/session.ts';
import { hasKeyboard } from '../parts/hooks.ts';
import { isOfInputMethod } from '../parts/input-method.ts';
import { hasVisibleText } from '../parts/text.ts';

const MAX_CHARACTERS = 480;

interface Props {
  field: RefObject<HTMLTextAreaElement | null>;
  conversationId: string;
  name: string;
  send: (text: string) => void;
}

/** Enter sends, and Shift+Enter starts a new line. On a phone Enter starts a new line, and the button sends. */
export function Composer({ field, conversationId, name, send }: Props) {
  const id = useId();
  const { drafts } = useSession();
  const [text, setText] = useState(() => drafts.get(conversationId));
  const normalised = normalise(text);
  const left = MAX_CHARACTERS - [...normalised].length;

  // For browsers without `field-sizing`.
  useLayoutEffect(() => {
    if (!field.current || CSS.supports('field-sizing', 'content')) return;
    field.current.style.height = 'auto';
    field.current.style.height = `${field.current.scrollHeight + 2}px`;
  }, [text]);

  // Show changes from another tab, unless the user is writing in this one.
  useEffect(
    () => drafts.watch(conversationId, (typed) => document.hasFocus() || setText(typed)),
    [drafts, conversationId],
  );

  function change(typed: string) {
    drafts.set(conversationId, typed);
    setText(typed);
  }

  function submit(event?: FormEvent) {
    event?.preventDefault();
    field.current?.focus();
    if (!hasVisibleText(normalised) || left < 0) return;
    send(normalised);
    change('');
  }

  function onKeyDown(event: KeyboardEvent) {
    if (event.key !== 'Enter' || event.shiftKey || isOfInputMethod(event.nativeEvent) || !hasKeyboard()) return;
    event.preventDefault();
    submit();
  }

  return (
    <form className="composer" onSubmit={submit}>
      <label className="visually-hidden" htmlFor={id}>
        Message to <bdi>{name}</bdi>
      </label>
      <textarea
        id={id}
        ref={field}
        value={text}
        onChange={({ target }) => change(target.value)}
        onKeyDown={onKeyDown}
        rows={1}
        placeholder="Write a message"
        dir="auto"
        autoComplete="off"
        aria-describedby={`${id}-left`}
        aria-invalid={left < 0}
      />
      <button className="button primary" disabled={left < 0}>
        Send
      </button>
      <p id={`${id}-left`} className="left" role="status" data-too-long={left < 0}>
        {left < 0 ? `${-left} characters too many` : left < 60 ? `${left} characters left` : ''}
      </p>
    </form>
  );
}

/** Normalizes the text like the server does (single spaces, no empty lines), so it is shown as it will be stored. */
function normalise(text: string): string {
  return text
    .split(/\r\n|[\n\r\v\f\u0085\u2028\u2029]/)
    .map((line) => line.replace(/\s+/g, ' ').trim())
    .filter(Boolean)
    .join('\n');
}
