/** What the tabs of a browser tell each other, besides the events of their common stream. */
export type Said =
  /** Who is signed in: a tab that believes otherwise looks again. */
  | { kind: 'viewer'; id: string | null }
  /** The conversation has been read here. */
  | { kind: 'read'; conversationId: string };

const channel = new BroadcastChannel('messenger-tabs');

export function sayToTabs(said: Said): void {
  channel.postMessage(said);
}

export function hearTabs(hear: (said: Said) => void): () => void {
  const heard = ({ data }: MessageEvent<Said>) => hear(data);
  channel.addEventListener('message', heard);
  return () => channel.removeEventListener('message', heard);
}
