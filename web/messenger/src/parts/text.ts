/** What a text consists of, as far as it decides how to show it. */

const VISIBLE = /[^\s\p{Cc}\p{Default_Ignorable_Code_Point}\u2800]/u;

/** Whether there is something to see, by the server's rule. */
export const hasVisibleText = (text: string) => VISIBLE.test(text);

const FEW_EMOJI = fewEmoji();

/** Whether the text is nothing but up to three emoji. */
export const isFewEmoji = (text: string) => FEW_EMOJI.test(text);

function fewEmoji(): RegExp {
  const few = (emoji: string) => `^(?:(?:${emoji})\\s?){1,3}$`;
  // Also without the selector that Unicode's list has after some: people's keyboards leave it out.
  const pictographs = '\\p{Extended_Pictographic}(?:\\uFE0F|\\p{EMod}|\\u200D\\p{Extended_Pictographic})*';
  try {
    return new RegExp(few(`\\p{RGI_Emoji}|${pictographs}`), 'v');
  } catch {
    // A browser from before 2024.
    const flags = '\\p{Regional_Indicator}{2}|[0-9#*]\\uFE0F?\\u20E3';
    return new RegExp(few(`${flags}|${pictographs}[\\u{E0020}-\\u{E007F}]*`), 'u');
  }
}

/** The first character as a reader counts: with its accents and modifiers. */
export function firstCharacter(text: string): string {
  if (!('Segmenter' in Intl)) return [...text][0] ?? '';
  const [first] = new Intl.Segmenter('en').segment(text);
  return first?.segment ?? '';
}

/** For a name within a sentence that is plain text, such as a label: its direction stays its own. */
export const isolated = (name: string) => (/^[\x20-\x7e]*$/.test(name) ? name : `\u2068${name}\u2069`);
