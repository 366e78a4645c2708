/** Properties of texts that decide how they are shown. */

const VISIBLE = /[^\s\p{Cc}\p{Default_Ignorable_Code_Point}\u2800]/u;

/** Whether the text contains a visible character, by the same rule as on the server. */
export const hasVisibleText = (text: string) => VISIBLE.test(text);

export const DELETED = 'Message deleted';

/** What stands for a message on a single line: its text, or what is the matter with it. */
export function previewOf({ content, deletedAt }: { content: string; deletedAt: string | null }): string {
  if (deletedAt) return DELETED;
  return hasVisibleText(content) ? content : 'No visible text';
}

const FEW_EMOJI = fewEmoji();

/** Whether the text consists of one to three emoji. */
export const isFewEmoji = (text: string) => FEW_EMOJI.test(text);

function fewEmoji(): RegExp {
  const few = (emoji: string) => `^(?:(?:${emoji})\\s?){1,3}$`;
  // Also without the variation selector that Unicode's list has after some, because many keyboards omit it.
  const pictographs = '\\p{Extended_Pictographic}(?:\\uFE0F|\\p{EMod}|\\u200D\\p{Extended_Pictographic})*';
  try {
    return new RegExp(few(`\\p{RGI_Emoji}|${pictographs}`), 'v');
  } catch {
    // Browsers before 2024 do not support the flag `v`.
    const flags = '\\p{Regional_Indicator}{2}|[0-9#*]\\uFE0F?\\u20E3';
    return new RegExp(few(`${flags}|${pictographs}[\\u{E0020}-\\u{E007F}]*`), 'u');
  }
}

/** The first grapheme: a character with its accents and modifiers. */
export function firstCharacter(text: string): string {
  if (!('Segmenter' in Intl)) return [...text][0] ?? '';
  const [first] = new Intl.Segmenter('en').segment(text);
  return first?.segment ?? '';
}

/** Isolates the direction of a name within plain text, such as a label. */
export const isolated = (name: string) => (/^[\x20-\x7e]*$/.test(name) ? name : `\u2068${name}\u2069`);
