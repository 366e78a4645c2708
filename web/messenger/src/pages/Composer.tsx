import { type FormEvent, type KeyboardEvent, type RefObject, useEffect, useId, useLayoutEffect, useState } from 'react';

import { useSession } from '../client/session.ts';
import { MAX_LENGTH } from '../client/typed.ts';
import { hasKeyboard } from '../parts/hooks.ts';
import { isOfInputMethod } from '../parts/input-method.ts';
import { hasVisibleText, previewOf } from '../parts/text.ts';
import type { EditedMessage } from './editing.ts';

const MAX_CHARACTERS = 480;

interface Props {
  field: RefObject<HTMLTextAreaElement | null>;
  conversationId: string;
  name: string;
  send: (text: string) => void;
  /** The message that is edited instead of writing a new one. The draft of a new one is kept. */
  editing: EditedMessage | undefined;
  onEdit: (text: string) => void;
  onSave: (text: string) => void;
  onCancel: () => void;
  onEditLast: () => void;
}

/**
 * Enter sends, and Shift+Enter starts a new line. On a phone Enter starts a new line, and the button sends. ArrowUp in
 * an empty field edits the last message, and Esc stops editing.
 */
export function Composer({ field, conversationId, name, send, editing, onEdit, onSave, onCancel, onEditLast }: Props) {
  const id = useId();
  const { drafts } = useSession();
  const [draft, setDraft] = useState(() => drafts.get(conversationId));
  const text = editing ? editing.text : draft;
  const normalised = normalise(text);
  const left = MAX_CHARACTERS - [...normalised].length;
  const isEmpty = !hasVisibleText(normalised);
  const isRefused = editing?.obstacle !== undefined;

  const kept = MAX_LENGTH.toLocaleString('en');
  const cut = text.length > MAX_LENGTH ? `. Only the first ${kept} are kept as a draft.` : '';
  const hint =
    left < 0
      ? `${-left} characters too many${cut}`
      : left < 60
        ? `${left} characters left`
        : editing && isEmpty && !isRefused
          ? 'Write a text, or choose Delete in the menu of the message.'
          : '';

  // For browsers without `field-sizing`.
  useLayoutEffect(() => {
    if (!field.current || CSS.supports('field-sizing', 'content')) return;
    field.current.style.height = 'auto';
    field.current.style.height = `${field.current.scrollHeight + 2}px`;
  }, [text]);

  const edited = editing?.messageId;
  useLayoutEffect(() => {
    if (edited === undefined || !field.current) return;
    field.current.focus();
    field.current.setSelectionRange(field.current.value.length, field.current.value.length);
  }, [edited]);

  // Show changes from another tab, unless the user is writing in this one.
  useEffect(
    () => drafts.watch(conversationId, (typed) => document.hasFocus() || setDraft(typed)),
    [drafts, conversationId],
  );

  function change(typed: string) {
    if (editing) return onEdit(typed);
    drafts.set(conversationId, typed);
    setDraft(typed);
  }

  function submit(event?: FormEvent) {
    event?.preventDefault();
    field.current?.focus();
    if (isEmpty || left < 0 || isRefused) return;
    if (editing) return onSave(normalised);
    send(normalised);
    change('');
  }

  function sendAsNew() {
    send(normalised);
    stopEditing();
  }

  function stopEditing() {
    onCancel();
    field.current?.focus();
  }

  function onKeyDown(event: KeyboardEvent) {
    if (isOfInputMethod(event.nativeEvent)) return;
    if (event.key === 'Enter' && !event.shiftKey && hasKeyboard()) submit();
    else if (event.key === 'Escape' && editing) onCancel();
    else if (event.key === 'ArrowUp' && !editing && text === '' && !hasModifier(event)) onEditLast();
    else return;
    event.preventDefault();
  }

  return (
    <form className="composer" onSubmit={submit}>
      <div className="editing" role="status">
        {editing && (
          <>
            <div>
              <p>
                <strong>Editing</strong> <bdi>{editing.message && previewOf(editing.message)}</bdi>
              </p>
              {isRefused && (
                <p>
                  <span className="problem">{editing.obstacle}</span>{' '}
                  <button type="button" onClick={sendAsNew} disabled={isEmpty || left < 0}>
                    Send as a new message
                  </button>
                </p>
              )}
            </div>
            <button type="button" className="cancel" onClick={stopEditing} aria-label="Cancel editing">
              <span aria-hidden="true">×</span>
            </button>
          </>
        )}
      </div>
      <label className="visually-hidden" htmlFor={id}>
        {editing ? 'New text of your message to' : 'Message to'} <bdi>{name}</bdi>
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
      <button className="button primary" disabled={left < 0 || isRefused}>
        {editing ? 'Save' : 'Send'}
      </button>
      <p id={`${id}-left`} className="left" role="status" data-too-long={left < 0}>
        {hint}
      </p>
    </form>
  );
}

const hasModifier = ({ altKey, ctrlKey, metaKey, shiftKey }: KeyboardEvent) => altKey || ctrlKey || metaKey || shiftKey;

/** Normalizes the text like the server does (single spaces, no empty lines), so it is shown as it will be stored. */
function normalise(text: string): string {
  return text
    .split(/\r\n|[\n\r\v\f\u0085\u2028\u2029]/)
    .map((line) => line.replace(/\s+/g, ' ').trim())
    .filter(Boolean)
    .join('\n');
}
