/** Times in the reader's zone, in the page's language. */

const LOCALE = navigator.languages.find((each) => each.startsWith('en')) ?? 'en-GB';
const timeOfDay = new Intl.DateTimeFormat(LOCALE, { timeStyle: 'short' });
const weekday = new Intl.DateTimeFormat(LOCALE, { weekday: 'long' });
const dayAndMonth = new Intl.DateTimeFormat(LOCALE, { weekday: 'long', day: 'numeric', month: 'long' });
const shortDate = new Intl.DateTimeFormat(LOCALE, { dateStyle: 'medium' });
const whole = new Intl.DateTimeFormat(LOCALE, { dateStyle: 'full', timeStyle: 'short' });

/** How many midnights lie between the two, in the reader's zone. */
function daysBetween(earlier: Date, later: Date): number {
  const day = (date: Date) => Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) / 86_400_000;
  return day(later) - day(earlier);
}

/** A day's name for the line above its messages. */
export function dayName(date: Date, now = new Date()): string {
  const days = daysBetween(date, now);
  if (days === 0) return 'Today';
  if (days === 1) return 'Yesterday';
  return date.getFullYear() === now.getFullYear() ? dayAndMonth.format(date) : shortDate.format(date);
}

/** The time of day, with the whole date for whoever points at it. */
export function TimeOfDay({ at, className }: { at: string; className?: string }) {
  const date = new Date(at);
  return (
    <time className={className} dateTime={at} title={whole.format(date)}>
      {timeOfDay.format(date)}
    </time>
  );
}

/** As short as tells when: the time today, the weekday in the last week, or else the date. */
export function ShortTime({ at }: { at: string }) {
  const date = new Date(at);
  const days = daysBetween(date, new Date());
  const format = days < 1 ? timeOfDay : days < 7 ? weekday : shortDate;
  return (
    <time className="when" dateTime={at} title={whole.format(date)}>
      {format.format(date)}
    </time>
  );
}

/** The date and time. */
export function Moment({ at }: { at: string }) {
  return <time dateTime={at}>{whole.format(new Date(at))}</time>;
}
