import { type CSSProperties, useState } from 'react';

import type { UserFieldsFragment } from '../generated/graphql.ts';
import { nameOf } from './names.ts';
import { firstCharacter } from './text.ts';

/** A user's picture, or the first letter of their name on a colour. Their name must be shown next to it. */
export function Avatar({ user }: { user: UserFieldsFragment | null }) {
  const [broken, setBroken] = useState<string>();
  const name = user ? nameOf(user) : '?';
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
    <span
      className="avatar"
      aria-hidden="true"
      data-removed={user !== null && user.removedAt !== null}
      style={{ '--hue': hueOf(name) } as CSSProperties}
    >
      {firstCharacter(name).toUpperCase()}
    </span>
  );
}

/** Returns the same hue for the same name, and distant hues for similar names. */
function hueOf(name: string): number {
  let hash = 0;
  for (const letter of name.toLowerCase()) hash = (hash * 31 + letter.charCodeAt(0)) % 65_521;
  return (hash * 137) % 360;
}
