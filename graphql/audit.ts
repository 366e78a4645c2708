/** Runs graphql-http's audit suite against a server, and exits with 1 if an audit fails. */
import { auditServer } from 'graphql-http';

const url = process.argv[2];
if (!url) throw new Error('Usage: node --import tsx audit.ts http://localhost:8000/graphql');

const audits = await auditServer({ url });
const failed = audits.filter((audit) => audit.status !== 'ok');
for (const { id, name, status, reason } of failed) console.log(`${status} ${id} ${name}: ${reason}`);
console.log(`${audits.length - failed.length} of ${audits.length} audits passed`);
process.exitCode = failed.length > 0 ? 1 : 0;
