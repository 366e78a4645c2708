/** A modal dialog: Esc, Back on Android and a press outside close it, and the focus returns to where it was. */
import { type HTMLAttributes, type MouseEvent, type ReactNode, type RefObject, type SyntheticEvent, useLayoutEffect, useRef } from 'react';

interface Props extends Pick<HTMLAttributes<HTMLElement>, 'role' | 'aria-label' | 'aria-labelledby' | 'aria-describedby'> {
  className: string;
  /** Called after it has been closed. */
  onClose: () => void;
  /** Called before it is shown for the first time. */
  place?: (dialog: HTMLDialogElement) => void;
  /** The element that gets the focus. */
  first: RefObject<HTMLElement | null>;
  children: ReactNode;
}

export function Dialog({ onClose, place, first, children, ...rest }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => {
    const element = dialog.current;
    if (!element) return undefined;
    element.showModal();
    place?.(element);
    first.current?.focus();
    return () => element.close();
  }, []);

  // The content covers the whole dialog, so other presses are outside. The long press that opens a menu ends when it is
  // already there, and does not count.
  const isPressed = useRef(false);
  function onPress(event: MouseEvent) {
    if (event.target !== dialog.current) return;
    event.preventDefault();
    if (isPressed.current) dialog.current?.close();
  }

  return (
    <dialog
      ref={dialog}
      {...rest}
      onPointerDown={({ target }) => void (isPressed.current = target === dialog.current)}
      onClick={onPress}
      onContextMenu={onPress}
      // In development, React opens it twice.
      onClose={() => dialog.current?.open === false && onClose()}
    >
      {children}
    </dialog>
  );
}

/** Closes the dialog that contains the element of the event. The focus returns before this function does. */
export function closeDialog({ currentTarget }: SyntheticEvent<Element>): void {
  currentTarget.closest('dialog')?.close();
}
