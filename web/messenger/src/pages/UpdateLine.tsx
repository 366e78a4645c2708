import { useQuery } from 'urql';

import { InboxDocument } from '../generated/graphql.ts';

/** The version of the server when this page was loaded; the page itself has the same one. */
let loaded: string | undefined;

/** Offers to reload the page when the server has been updated, because this page does not know what is new. */
export function UpdateLine() {
  const [{ data }] = useQuery({ query: InboxDocument });
  const current = data?.serverInfo.version;
  loaded ??= current;
  return (
    <div className="top-line" role="status">
      {current !== loaded && (
        <>
          <p>Messenger has been updated.</p>
          <button type="button" className="button" onClick={() => location.reload()}>
            Reload
          </button>
        </>
      )}
    </div>
  );
}
