// The audits of GraphQL over HTTP. The report is committed; SPOOR_UPDATE_REPORT=1 writes it anew.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { serverAudits } from 'graphql-http';

const REPORT = new URL('../graphql-http-report.json', import.meta.url);

export default [
  [
    'every audit of graphql-http passes, MAY included',
    async ({ graphql }) => {
      const report = [];
      for (const audit of serverAudits({ url: graphql, fetchFn: fetch })) {
        const result = await audit.fn();
        const entry = { id: audit.id, name: audit.name, status: result.status };
        if (result.status !== 'ok') entry.reason = result.reason;
        report.push(entry);
      }
      const text = JSON.stringify(report, null, 2) + '\n';
      if (process.env.SPOOR_UPDATE_REPORT) writeFileSync(REPORT, text);
      const bad = report.filter(({ status }) => status !== 'ok');
      assert.deepEqual(bad, []);
      assert.equal(text, readFileSync(REPORT, 'utf8'), 'the committed report is not current');
    },
  ],
];
