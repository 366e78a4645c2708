/** Times in the reader's zone, in the page's language. */
import { perZone, useDay } from './clock.ts';
import { LOCALE } from './locale.ts';

const formats = perZone(() => {
  const format = (options: Intl.DateTimeFormatOptions) => new Intl.DateTimeFormat(LOCALE, options);
  return {
    timeOfDay: format({ timeStyle: 'short' }),
    weekday: format({ weekday: 'long' }),
    dayAndMonth: format({ weekday: 'long', day: 'numeric', month: 'long' }),
    shortDate: format({ dateStyle: 'medium' }),
    whole: format({ dateStyle: 'full', timeStyle: 'short' }),
  };
});

/** How many midnights lie between the two, in the reader's zone. */
function daysBetween(earlier: Date, later: Date): number {
  const day = (date: Date) => Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) / 86_400_000;
  return day(later) - day(earlier);
}

/** A day's name for the line above its messages. */
export function DayName({ of }: { of: string }) {
  useDay();
  return <time dateTime={of.slice(0, 10)}>{dayName(new Date(of), new Date())}</time>;
}

function dayName(date: Date, now: Date): string {
  const days = daysBetween(date, now);
  if (days === 0) return 'Today';
  if (days === 1) return 'Yesterday';
  return (date.getFullYear() === now.getFullYear() ? formats().dayAndMonth : formats().shortDate).format(date);
}

/** The time of day, with the whole date for whoever points at it. */
export function TimeOfDay({ at, className }: { at: string; className?: string }) {
  useDay();
  const date = new Date(at);
  return (
    <time className={className} dateTime={at} title={formats().whole.format(date)}>
      {formats().timeOfDay.format(date)}
    </time>
  );
}

/** As short as tells when: the time today, the weekday in the last week, or else the date. */
export function ShortTime({ at }: { at: string }) {
  useDay();
  const { timeOfDay, weekday, shortDate, whole } = formats();
  const date = new Date(at);
  const days = daysBetween(date, new Date());
  // Around midnight a clock that is a little slow finds messages of tomorrow; one that is days behind shows their date.
  const format = days === 0 || days === -1 ? timeOfDay : days > 0 && days < 7 ? weekday : shortDate;
  return (
    <time className="when" dateTime={at} title={whole.format(date)}>
      {format.format(date)}
    </time>
  );
}

/** The date and time. */
export function Moment({ at }: { at: string }) {
  useDay();
  return <time dateTime={at}>{formats().whole.format(new Date(at))}</time>;
}
