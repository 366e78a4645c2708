/** A BroadcastChannel between the tabs of this browser; does nothing if the browser does not provide one. */
export interface Channel<Said> {
  /** Whether other tabs receive what this one sends. */
  readonly works: boolean;
  say(said: Said): void;
  hear(hear: (said: Said) => void): () => void;
  close(): void;
}

export function openChannel<Said>(name: string): Channel<Said> {
  let channel: BroadcastChannel;
  try {
    channel = new BroadcastChannel(name);
  } catch {
    return { works: false, say() {}, hear: () => () => {}, close() {} };
  }
  let open = true;
  return {
    works: true,
    say(said) {
      if (open) channel.postMessage(said);
    },
    hear(hear) {
      const heard = ({ data }: MessageEvent<Said>) => hear(data);
      channel.addEventListener('message', heard);
      return () => channel.removeEventListener('message', heard);
    },
    close() {
      open = false;
      channel.close();
    },
  };
}
