/** Audits a server by the suite of graphql-http, and fails on whatever is not as it should be. */
import { auditServer } from 'graphql-http';

const url = process.argv[2];
if (!url) throw new Error('Say which server: node --import tsx audit.ts http://localhost:8000/graphql');

const audits = await auditServer({ url });
const wanting = audits.filter((audit) => audit.status !== 'ok');
for (const { id, name, status, reason } of wanting) console.log(`${status} ${id} ${name}: ${reason}`);
console.log(`${audits.length - wanting.length} of ${audits.length} audits are met`);
process.exitCode = wanting.length > 0 ? 1 : 0;
