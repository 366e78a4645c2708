/** Finds web addresses in a text, and shows them so that they cannot be mistaken for other hosts. */

export interface Address {
  /** The address as it is written in the text. */
  href: string;
  /** The address to show: with the host in ASCII, unless it cannot be mistaken for another host. */
  shown: string;
  index: number;
}

// Bidirectional controls and invisible characters end an address, as they could hide or reorder parts of it. So do a
// backslash, which browsers treat like a slash, and the punctuation of scripts that do not put spaces around it.
const ADDRESS = /https?:\/\/[^\s<>"\\、。，！？；：（）「」『』【】《》\p{Cc}\p{Cf}\p{Default_Ignorable_Code_Point}\u2800]+/giu;
const PARTS = /^(https?:\/\/)([^/?#]*)(.*)$/isu;
const OPENING = new Map([
  [')', '('],
  [']', '['],
  ['}', '{'],
]);
const ENDS_SENTENCE = /[.,;:!?'"…»“”’‘।؟،]+$/u;

export function addressesIn(text: string): Address[] {
  const found: Address[] = [];
  for (const { 0: match, index } of text.matchAll(ADDRESS)) {
    const href = trimmed(match);
    const shown = shownAs(href);
    if (shown !== undefined) found.push({ href, shown, index });
  }
  return found;
}

/** Removes punctuation that ends the sentence and not the address, and brackets that were opened before it. */
function trimmed(address: string): string {
  for (;;) {
    const last = address.at(-1)!;
    const shorter = isUnopened(address, last) ? address.slice(0, -1) : address.replace(ENDS_SENTENCE, '');
    if (shorter === address) return address;
    address = shorter;
  }
}

function isUnopened(address: string, closing: string): boolean {
  const opening = OPENING.get(closing);
  const count = (bracket: string) => address.split(bracket).length;
  return opening !== undefined && count(opening) < count(closing);
}

/** Undefined if the text is not a URL, or contains a user name, which could look like another host. */
function shownAs(address: string): string | undefined {
  const parts = PARTS.exec(address);
  if (!parts || !URL.canParse(address)) return undefined;
  const [, scheme, authority, rest] = parts as unknown as [string, string, string, string];
  const { host, username, password, port } = new URL(address);
  if (username || password || authority.includes('@')) return undefined;
  const typed = port ? authority : authority.replace(/:\d*$/, '');
  return `${scheme}${typed.toLowerCase() === host || isUnmistakable(typed) ? authority : host}${rest}`;
}

function isUnmistakable(host: string): boolean {
  const name = host.replace(/:\d+$/, '');
  return /[^\0-\x7f]/.test(name) && SCRIPTS.some((script) => script.test(name));
}

// Scripts whose letters do not look like Latin ones, unlike Cyrillic, Greek and others: a host in only one of these
// cannot be mistaken for another. All other hosts are shown in ASCII (Punycode).
const SCRIPTS = [
  /^[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\u30fc0-9.-]+$/u,
  ...['Arabic', 'Bengali', 'Devanagari', 'Hangul', 'Hebrew', 'Khmer', 'Tamil', 'Telugu', 'Thai'].map(
    (script) => new RegExp(`^[\\p{Script=${script}}\\p{Mn}0-9.-]+$`, 'u'),
  ),
];
