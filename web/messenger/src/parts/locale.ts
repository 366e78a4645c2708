/** The locale of dates and times: the reader's kind of English, as the page is in English. */
export const LOCALE = usable(navigator.languages) ?? usable([navigator.language]) ?? 'en-GB';

/** Browsers hand on what their environment says, such as `C`, `en_US.UTF-8` or nothing at all, which Intl rejects. */
function usable(languages: readonly unknown[] | null | undefined): string | undefined {
  for (const each of languages ?? []) {
    const tag = String(each).replace(/[.@].*$/s, '').replaceAll('_', '-');
    if (!/^en(-|$)/i.test(tag)) continue;
    try {
      return Intl.getCanonicalLocales(tag)[0];
    } catch {
      // The next may be one.
    }
  }
  return undefined;
}
