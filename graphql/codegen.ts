import type { CodegenConfig } from '@graphql-codegen/cli';
import { addTypenameSelectionDocumentTransform } from '@graphql-codegen/client-preset';

const config: CodegenConfig = {
  schema: 'schema.graphql',
  documents: 'operations/*.graphql',
  generates: {
    'generated/': {
      preset: 'client',
      presetConfig: {
        // With masking on, components declare what they show; a team that wants it takes this line out.
        fragmentMasking: false,
        // The manifest of trusted documents, by hash.
        persistedDocuments: { hashAlgorithm: 'sha256' },
      },
      // Normalised caches need the type of every object, and a trusted document is sent as it stands here.
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
