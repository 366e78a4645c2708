/** Whether the user attends to any tab of this browser. Each attended tab holds a shared lock until it closes. */
import { isAttended, watchAttention } from '../parts/attention.ts';

const ATTENDED = 'messenger-attended';

export function showWhetherAttended(): void {
  if (!('locks' in navigator)) return; // Only notifications need this, and such browsers do not have them either.
  let leave: (() => void) | undefined;
  const update = (attended: boolean) => {
    if (!attended) {
      leave?.();
      leave = undefined;
    } else if (!leave) {
      const untilLeft = new Promise<void>((resolve) => (leave = resolve));
      // Rejected if the browser does not store data for this site.
      navigator.locks.request(ATTENDED, { mode: 'shared' }, () => untilLeft).catch(() => {});
    }
  };
  watchAttention(update);
  update(isAttended());
}

export async function isAnyTabAttended(): Promise<boolean> {
  try {
    const { held = [] } = await navigator.locks.query();
    return held.some(({ name }) => name === ATTENDED);
  } catch {
    return isAttended();
  }
}
