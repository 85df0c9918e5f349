import type { CodegenConfig } from '@graphql-codegen/cli';

const config: CodegenConfig = {
  schema: '../../../graphql/schema.graphql',
  documents: ['codegen/src/*.ts'],
  generates: {
    'codegen/generated/': {
      preset: 'client',
      config: {
        useTypeImports: true,
        scalars: { DateTime: 'string', Long: 'number', Cidr: 'string', EpochToken: 'string' },
      },
    },
  },
};
export default config;
