/** The locale of dates and times: the user's variant of English, as the page is in English. */
export const LOCALE = usable(navigator.languages) ?? usable([navigator.language]) ?? 'en-GB';

/** Browsers may return values of their environment that Intl rejects, such as `C`, `en_US.UTF-8`, or nothing. */
function usable(languages: readonly unknown[] | null | undefined): string | undefined {
  for (const each of languages ?? []) {
    const tag = String(each).replace(/[.@].*$/s, '').replaceAll('_', '-');
    if (!/^en(-|$)/i.test(tag)) continue;
    try {
      return Intl.getCanonicalLocales(tag)[0];
    } catch {
      // Try the next one.
    }
  }
  return undefined;
}
