import { memo } from 'react';

const ADDRESS = /https?:\/\/[^\s<>"]+/g;
const EMOJI_ONLY = /^(?:\p{Extended_Pictographic}(?:[\uFE0F\u20E3]|\p{EMod}|\u200D\p{Extended_Pictographic})*\s?){1,3}$/u;

/** What somebody wrote: plain text with its lines, and web addresses as links. */
export const MessageText = memo(function MessageText({ text }: { text: string }) {
  return (
    <p className={EMOJI_ONLY.test(text) ? 'text emoji' : 'text'} dir="auto">
      {withLinks(text)}
    </p>
  );
});

function withLinks(text: string) {
  const parts = [];
  let end = 0;
  for (const { 0: found, index } of text.matchAll(ADDRESS)) {
    const address = trimmed(found);
    if (!URL.canParse(address)) continue;
    parts.push(
      text.slice(end, index),
      <a key={index} href={address} target="_blank" rel="noopener noreferrer" dir="ltr">
        {address}
      </a>,
    );
    end = index + address.length;
  }
  return [...parts, text.slice(end)];
}

/** Without what ends the sentence rather than the address, and a bracket that opened before it. */
function trimmed(address: string): string {
  const short = address.replace(/[.,;:!?'"…]+$/, '');
  const unopened = short.endsWith(')') && short.split('(').length < short.split(')').length;
  return unopened ? trimmed(short.slice(0, -1)) : short;
}
