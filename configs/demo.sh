#!/usr/bin/env bash
# A server on loopback with two hours of generated past and live generated traffic, and a list of
# what to try. `make run` calls it with the program.
#
# PORT (8080), RATE (200 requests a second) and SEED may be given in the environment. The state is
# new each time; SPOOR_DEMO_STATE names a directory that is kept.
set -euo pipefail

spoor=${1:?usage: configs/demo.sh PATH_OF_SPOOR}
here=$(cd "$(dirname "$0")" && pwd)
port=${PORT:-8080}
rate=${RATE:-200}
seed=${SEED:-$(date +%s)}
url=http://127.0.0.1:$port

pids=()
kept=${SPOOR_DEMO_STATE:-}
state=${kept:-$(mktemp -d "${TMPDIR:-/tmp}/spoor-demo.XXXXXX")}
stop() {
  trap - EXIT INT TERM
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  [ -n "$kept" ] || rm -rf "$state"
}
trap stop EXIT
trap 'exit 0' INT TERM

port_taken() {
  echo "Port $port of this machine is taken by another program: stop it, or choose another port," >&2
  echo "such as: PORT=$((port + 1)) make run" >&2
  exit 1
}

# What answers must be the server started here, or the traffic would be pushed to a stranger.
if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then port_taken; fi
"$spoor" serve --config "$here/spoor.toml" --listen "127.0.0.1:$port" --state "$state" &
server=$!
pids+=("$server")
for _ in $(seq 300); do
  if ! kill -0 "$server" 2>/dev/null; then
    wait "$server" || true
    exit 1
  fi
  curl -fsS -o /dev/null "$url/readyz" 2>/dev/null && break
  sleep 0.1
done
kill -0 "$server" 2>/dev/null || exit 1

# Pushed in batches, as a log shipper would: each answer comes when its batch is committed. Quiet,
# because Ctrl-C ends the server under it; when something is wrong, the server says so.
push() {
  split -l "$1" --filter="curl -fsS -o /dev/null --data-binary @- $url/v1/requests" 2>/dev/null
}
past=$(date -u -d '2 hours ago' +%FT%TZ 2>/dev/null || date -u -v-2H +%FT%TZ)
"$spoor" generate --requests 40000 --seed "$seed" --start "$past" | push 5000
# Another seed, or its clients would be those of the past.
"$spoor" generate --rate "$rate" --seed "$((seed + 1))" | push "$((rate / 4 + 1))" &
pids+=("$!")

cat <<LIST

Spoor listens on $url and takes $rate made-up requests a second, after two hours of past. Each
minute it says how it goes. Ctrl-C stops it.

The console, in the browser:

  $url/

GraphiQL, to explore the API:

  $url/graphiql

A first query, the five sessions with the most detected attacks:

  curl -s $url/graphql -H 'content-type: application/json' -d '{"query":
    "{ sessions(first: 5, filter: {malicious: true}, orderBy: {by: DETECTIONS}) { totalCount nodes { sessionId open statistics { requests errors detections } identity { namespace value } } } }"}'

A first subscription, sessions under attack as they change (server-sent events):

  curl -sN $url/graphql -H 'content-type: application/json' -H 'accept: text/event-stream' -d '{"query":
    "subscription { sessionChanges(filter: {malicious: true}) { epoch added { sessionId } updated { sessionId statistics { requests detections } } removed { sessionId } } }"}'

A first mutation, which regroups the past too: the mobile app's users by the name in their token.

  curl -s $url/graphql -H 'content-type: application/json' -d '{"query":
    "mutation { createGroupingKey(input: {key: {name: \"subject\", point: \"\$request.header.authorization | jwt.payload#/sub\"}, before: \"login-answer\"}) { version effectiveEpoch errors { message } } }"}'

And back again:

  curl -s $url/graphql -H 'content-type: application/json' -d '{"query":
    "mutation { deleteGroupingKey(input: {name: \"subject\"}) { version effectiveEpoch errors { message } } }"}'

The same as push: your own records, one JSON object a line.

  curl -s $url/v1/requests --data-binary '{"ts":"$(date -u +%FT%TZ)","method":"GET","path":"/hello","ip":"192.0.2.7"}'

LIST
wait "$server"
