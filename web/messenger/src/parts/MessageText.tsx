import { memo } from 'react';

import { addressesIn } from './addresses.ts';
import { DELETED, hasVisibleText, isFewEmoji } from './text.ts';

/** The text of a message, with its line breaks, and with web addresses as links. */
export const MessageText = memo(function MessageText({ text }: { text: string }) {
  return (
    <p className={isFewEmoji(text) ? 'text emoji' : 'text'} dir="auto">
      {hasVisibleText(text) ? withLinks(text) : <em>No visible text</em>}
    </p>
  );
});

/** Takes the place of the text of a deleted message. */
export function DeletedText() {
  return (
    <p className="text">
      <em>{DELETED}</em>
    </p>
  );
}

function withLinks(text: string) {
  const parts = [];
  let end = 0;
  for (const { href, shown, index } of addressesIn(text)) {
    parts.push(
      text.slice(end, index),
      <a key={index} href={href} target="_blank" rel="noopener noreferrer nofollow" dir="ltr">
        {shown}
      </a>,
    );
    end = index + href.length;
  }
  return [...parts, text.slice(end)];
}
