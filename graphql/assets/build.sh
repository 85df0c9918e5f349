#!/bin/sh
# Rebuilds graphiql.js, graphiql.css and graphiql.licenses.txt from npm.
set -eu
cd "$(dirname "$0")"
npm ci --no-audit --no-fund
node build.mjs
ls -l graphiql.js graphiql.css graphiql.licenses.txt
