import { useId, useRef } from 'react';

import { closeDialog, Dialog } from './Dialog.tsx';

interface Props {
  question: string;
  /** What the action applies to. */
  quote: string;
  explanation: string;
  /** What the button says. */
  action: string;
  onConfirm: () => void;
  onClose: () => void;
}

/** Asks before an action that cannot be undone. */
export function Confirmation({ question, quote, explanation, action, onConfirm, onClose }: Props) {
  const id = useId();
  const cancel = useRef<HTMLButtonElement>(null);
  return (
    <Dialog
      className="confirmation"
      role="alertdialog"
      aria-labelledby={`${id}-question`}
      aria-describedby={`${id}-quote ${id}-text`}
      onClose={onClose}
      first={cancel}
    >
      <div>
        <h2 id={`${id}-question`}>{question}</h2>
        <p id={`${id}-quote`} className="quote" dir="auto">
          {quote}
        </p>
        <p id={`${id}-text`}>{explanation}</p>
        <p className="buttons">
          <button type="button" className="button" ref={cancel} onClick={closeDialog}>
            Cancel
          </button>
          <button
            type="button"
            className="button danger"
            onClick={(event) => {
              closeDialog(event);
              onConfirm();
            }}
          >
            {action}
          </button>
        </p>
      </div>
    </Dialog>
  );
}
