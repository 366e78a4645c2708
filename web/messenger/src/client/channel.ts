/** A BroadcastChannel between the tabs of this browser, or silence where the browser has none or denies it. */
export interface Channel<Said> {
  /** Whether other tabs can hear this one. */
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
