import type { CodegenConfig } from '@graphql-codegen/cli';
import { addTypenameSelectionDocumentTransform } from '@graphql-codegen/client-preset';

const config: CodegenConfig = {
  schema: 'schema.graphql',
  documents: 'operations/*.graphql',
  generates: {
    'generated/': {
      preset: 'client',
      presetConfig: {
        // Remove this line to enable fragment masking, with which components declare the data they use.
        fragmentMasking: false,
        // Generates the manifest of trusted documents, keyed by hash.
        persistedDocuments: { hashAlgorithm: 'sha256' },
      },
      // Normalised caches need the type of every object, and trusted documents have to contain it already.
      documentTransforms: [addTypenameSelectionDocumentTransform],
      config: {
        enumType: 'string-literal',
        scalars: { DateTime: 'string', ID: 'string' },
        strictScalars: true,
        useTypeImports: true,
      },
    },
  },
};

export default config;
