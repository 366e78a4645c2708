import { Component, type ReactNode } from 'react';

interface Props {
  children: ReactNode;
  /** What to show instead of children that cannot be rendered. */
  instead: (problem: string) => ReactNode;
}

/** Keeps an exception in its children from blanking the page. React reports it to the console. */
export class ErrorBoundary extends Component<Props, { problem: string | undefined }> {
  override state = { problem: undefined };

  static getDerivedStateFromError(reason: unknown) {
    return { problem: String(reason) };
  }

  override render(): ReactNode {
    const { problem } = this.state;
    return problem === undefined ? this.props.children : this.props.instead(problem);
  }
}

/** Replaces a page, or the whole app. */
export function BrokenPage({ problem }: { problem: string }) {
  return (
    <div className="notice" role="alert">
      <h1>This page cannot be shown</h1>
      <p>{problem}</p>
      <p>
        Your unsent messages, drafts and unfinished edits are kept. Edits and deletions that the server has not confirmed
        may be lost when you reload.
      </p>
      <p>
        <button type="button" className="button" onClick={() => location.reload()}>
          Reload
        </button>
      </p>
    </div>
  );
}
