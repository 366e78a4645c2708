/** A BroadcastChannel between the tabs of this browser; does nothing if the browser does not provide one. */
export interface Channel<Message> {
  /** Whether other tabs receive what this one sends. */
  readonly works: boolean;
  post(message: Message): void;
  listen(listener: (message: Message) => void): () => void;
  close(): void;
}

export function openChannel<Message>(name: string): Channel<Message> {
  let channel: BroadcastChannel;
  try {
    channel = new BroadcastChannel(name);
  } catch {
    return { works: false, post() {}, listen: () => () => {}, close() {} };
  }
  let open = true;
  return {
    works: true,
    post(message) {
      if (open) channel.postMessage(message);
    },
    listen(listener) {
      const onMessage = ({ data }: MessageEvent<Message>) => listener(data);
      channel.addEventListener('message', onMessage);
      return () => channel.removeEventListener('message', onMessage);
    },
    close() {
      open = false;
      channel.close();
    },
  };
}
