#!/usr/bin/env bash
# A server on loopback with generated live traffic, and a list of what to try. `make run` calls it
# with the program; the state stays in state/demo (SPOOR_DEMO_STATE), so it can be stopped and
# started again. RATE and PORT may be given in the environment.
set -euo pipefail

spoor=${1:?usage: configs/demo.sh PATH_OF_SPOOR}
here=$(cd "$(dirname "$0")" && pwd)
state=${SPOOR_DEMO_STATE:-$here/../state/demo}
port=${PORT:-8080}
rate=${RATE:-200}
url=http://127.0.0.1:$port
mkdir -p "$state"

pids=()
stop() {
  trap - EXIT INT TERM
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
}
trap stop EXIT
trap 'exit 0' INT TERM

"$spoor" serve --config "$here/spoor.toml" --listen "127.0.0.1:$port" --state "$state" --log-level warn &
server=$!
pids+=("$server")
for _ in $(seq 100); do
  curl -fsS -o /dev/null "$url/readyz" 2>/dev/null && break
  kill -0 "$server" 2>/dev/null || { wait "$server"; exit 1; }
  sleep 0.1
done

# Pushed in batches, as a log shipper would: each answer comes when its batch is committed. Every
# run has a seed of its own, or its clients would be those of the run before. Quiet, because Ctrl-C
# ends the server under it; when something is wrong, the server says so.
"$spoor" generate --rate "$rate" --seed "${SEED:-$(date +%s)}" \
  | split -l "$((rate / 4 + 1))" --filter="curl -fsS -o /dev/null --data-binary @- $url/v1/requests" 2>/dev/null &
pids+=("$!")

cat <<LIST

Spoor listens on $url and takes $rate made-up requests a second. Ctrl-C stops it.

GraphiQL, to explore in the browser:

  $url/graphiql

A first query, the five sessions with the most requests:

  curl -s $url/graphql -H 'content-type: application/json' -d '{"query":
    "{ sessions(first: 5, orderBy: {by: REQUESTS}) { totalCount nodes { sessionId open statistics { requests errors } identity { namespace value } } } }"}'

A first subscription, sessions under attack as they change (server-sent events):

  curl -sN $url/graphql -H 'content-type: application/json' -H 'accept: text/event-stream' -d '{"query":
    "subscription { sessionChanges(filter: {malicious: true}) { epoch added { sessionId } updated { sessionId statistics { requests detections } } removed { sessionId } } }"}'

A first mutation, which regroups the past too: the mobile app's users by the name in their token.

  curl -s $url/graphql -H 'content-type: application/json' -d '{"query":
    "mutation { createGroupingKey(input: {key: {name: \"subject\", point: \"\$request.header.authorization | jwt.payload#/sub\"}, before: \"login-answer\"}) { version effectiveEpoch errors { message } } }"}'

The same as push: your own records, one JSON object a line.

  curl -s $url/v1/requests --data-binary '{"ts":"$(date -u +%FT%TZ)","method":"GET","path":"/hello","ip":"192.0.2.7"}'

LIST
wait "$server"
