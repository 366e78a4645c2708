import { type CSSProperties, useState } from 'react';

import type { UserFieldsFragment } from '../generated/graphql.ts';
import { firstCharacter } from './text.ts';

/** Somebody's picture, or the first letter of their name on a colour of its own. Their name stands beside it. */
export function Avatar({ user }: { user: UserFieldsFragment | null }) {
  const [broken, setBroken] = useState<string>();
  const name = user?.username ?? '?';
  if (user?.avatarUrl && user.avatarUrl !== broken)
    return (
      <img
        className="avatar"
        src={user.avatarUrl}
        alt=""
        loading="lazy"
        referrerPolicy="no-referrer"
        onError={() => setBroken(user.avatarUrl ?? undefined)}
      />
    );
  return (
    <span className="avatar" aria-hidden="true" style={{ '--hue': hueOf(name) } as CSSProperties}>
      {firstCharacter(name).toUpperCase()}
    </span>
  );
}

/** The same for the same name, and far apart for names that differ little. */
function hueOf(name: string): number {
  let hash = 0;
  for (const letter of name.toLowerCase()) hash = (hash * 31 + letter.charCodeAt(0)) % 65_521;
  return (hash * 137) % 360;
}
