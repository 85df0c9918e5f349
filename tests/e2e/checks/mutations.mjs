import assert from 'node:assert/strict';
import { GraphQLClient, gql } from 'graphql-request';

const CREATE = gql`
  mutation Create($input: CreateGroupingKeyInput!) {
    createGroupingKey(input: $input) {
      clientMutationId
      version
      effectiveEpoch effectiveEpochToken
      rules { version grouping { name point namespace gap { ms } } }
      errors { code path message current { version } }
    }
  }
`;

const DELETE = gql`
  mutation Delete($input: DeleteRuleInput!) {
    deleteGroupingKey(input: $input) { version errors { code } }
  }
`;

export default [
  [
    'a rule is created once, conflicts are told with the rules in force, and it can be deleted',
    async (context) => {
      const client = new GraphQLClient(context.graphql);
      const { rules } = await client.request(gql`{ rules { version } }`);
      const name = `e2e-${context.run}`;
      const input = {
        clientMutationId: name,
        expectedVersion: rules.version,
        key: { name, point: '$request.header.x-e2e', gap: { none: true } },
      };
      const first = (await client.request(CREATE, { input })).createGroupingKey;
      assert.deepEqual(first.errors, []);
      assert.equal(first.clientMutationId, name);
      assert.equal(first.version, rules.version + 1);
      assert.ok(first.effectiveEpoch > 0);
      const key = first.rules.grouping.find((key) => key.name === name);
      assert.deepEqual(key, {
        name, point: '$request.header.x-e2e', namespace: name, gap: { ms: null },
      });

      const again = (await client.request(CREATE, { input })).createGroupingKey;
      assert.equal(again.version, first.version);
      assert.equal(again.effectiveEpoch, first.effectiveEpoch);

      const stale = { ...input, clientMutationId: `${name}-2`, key: { ...input.key, name: `${name}-2` } };
      const conflict = (await client.request(CREATE, { input: stale })).createGroupingKey;
      assert.equal(conflict.errors[0].code, 'VERSION_CONFLICT');
      assert.equal(conflict.errors[0].current.version, first.version);
      assert.equal(conflict.rules, null);

      const seen = await client.request(
        gql`query ($epoch: EpochToken) { rules(atLeastEpoch: $epoch) { version } }`,
        { epoch: first.effectiveEpochToken },
      );
      assert.equal(seen.rules.version, first.version);

      const gone = (await client.request(DELETE, { input: { name } })).deleteGroupingKey;
      assert.deepEqual(gone.errors, []);
      const twice = (await client.request(DELETE, { input: { name } })).deleteGroupingKey;
      assert.equal(twice.errors[0].code, 'NOT_FOUND');
    },
  ],
  [
    'a point that does not parse is a modelled error with its place',
    async (context) => {
      const client = new GraphQLClient(context.graphql);
      const input = { key: { name: `bad-${context.run}`, point: '$request.nonsense.x' } };
      const { createGroupingKey } = await client.request(CREATE, { input });
      const [error] = createGroupingKey.errors;
      assert.equal(error.code, 'INVALID_POINT');
      assert.equal(error.path.at(-1), 'point');
      assert.ok(error.message.length > 0);
      assert.equal(createGroupingKey.version, null);
    },
  ],
];
