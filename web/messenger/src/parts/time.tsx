/** Times in the user's time zone, in English. */
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

/** The number of midnights between the two, in the user's time zone. */
function daysBetween(earlier: Date, later: Date): number {
  const day = (date: Date) => Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) / 86_400_000;
  return day(later) - day(earlier);
}

/** The heading above a day's messages. */
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

/** The time of day, with the full date as a tooltip. */
export function TimeOfDay({ at, className }: { at: string; className?: string }) {
  useDay();
  const date = new Date(at);
  return (
    <time className={className} dateTime={at} title={formats().whole.format(date)}>
      {formats().timeOfDay.format(date)}
    </time>
  );
}

/** Says that a message was edited, with the date and time as a tooltip. */
export function EditedAt({ at }: { at: string }) {
  useDay();
  return (
    <>
      {' · '}
      <time dateTime={at} title={`Edited ${formats().whole.format(new Date(at))}`}>
        edited
      </time>
    </>
  );
}

/** A short form: the time today, the weekday within the last week, or else the date. */
export function ShortTime({ at }: { at: string }) {
  useDay();
  const { timeOfDay, weekday, shortDate, whole } = formats();
  const date = new Date(at);
  const days = daysBetween(date, new Date());
  // If the device's clock is slightly behind, messages around midnight seem to be from tomorrow; show their time.
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
