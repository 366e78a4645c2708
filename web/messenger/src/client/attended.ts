/** Whether the person looks at any of the browser's tabs, which a lock tells that ends with its page. */
import { isAttended, watchAttention } from '../parts/attention.ts';

const ATTENDED = 'messenger-attended';

export function showWhetherAttended(): void {
  if (!('locks' in navigator)) return; // Nor are there notifications then, which this is for.
  let leave: (() => void) | undefined;
  const update = (attended: boolean) => {
    if (!attended) {
      leave?.();
      leave = undefined;
    } else if (!leave) {
      const untilLeft = new Promise<void>((resolve) => (leave = resolve));
      // Denied where the browser stores nothing for this site.
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
