// The offline GraphiQL: queries and mutations by HTTP, subscriptions by graphql-transport-ws.
import { GraphiQL } from 'graphiql';
import { createGraphiQLFetcher } from '@graphiql/toolkit';
import { createClient } from 'graphql-ws';
import { createElement } from 'react';
import { createRoot } from 'react-dom/client';
import { asked } from './address.js';
import 'graphiql/graphiql.css';
import './main.css';

const url = new URL('/graphql', location.href);
const socket = new URL('/graphql', location.href);
socket.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';

const fetcher = createGraphiQLFetcher({
  url: url.href,
  wsClient: createClient({ url: socket.href, lazy: true }),
});

const defaultQuery = `# Spoor. Run the operation under the cursor with Ctrl-Enter.

query Sessions {
  status { epoch watermark openSessions sessions requests }
  sessions(first: 10, orderBy: { by: REQUESTS }) {
    totalCount
    nodes {
      sessionId
      identity { namespace value weak }
      start
      end
      open
      statistics { requests errors detections }
      breakdown(by: ENDPOINT, first: 3) { values { value count share } }
    }
  }
}

subscription Live {
  sessionChanges(snapshot: 5) {
    epoch
    snapshot
    added { sessionId statistics { requests } }
    updated { sessionId statistics { requests } }
    removed { sessionId }
  }
}
`;

createRoot(document.getElementById('graphiql')).render(
  createElement(GraphiQL, {
    fetcher,
    defaultQuery,
    shouldPersistHeaders: false,
    ...asked(location.search),
  }),
);
