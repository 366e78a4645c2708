import { useMonaco } from '@graphiql/react';
import { useEffect } from 'react';

/** Wraps long lines in all editors, which are narrow while the documentation is open. */
export function useWrappedLines() {
  const monaco = useMonaco((state) => state.monaco);
  useEffect(() => {
    if (!monaco) return;
    const options = { wordWrap: 'on', wrappingIndent: 'indent' } as const;
    for (const editor of monaco.editor.getEditors()) editor.updateOptions(options);
    const creating = monaco.editor.onDidCreateEditor((editor) => editor.updateOptions(options));
    return () => creating.dispose();
  }, [monaco]);
}
