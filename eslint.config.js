import tseslint from 'typescript-eslint';

export default tseslint.config(
  { ignores: ['dist', 'node_modules', '.tap'] },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      // tap's t.test returns a promise that the harness itself awaits
      '@typescript-eslint/no-floating-promises': ['error', { allowForKnownSafeCalls: ['test', 't.test'] }],
      eqeqeq: ['error', 'always', { null: 'ignore' }],
    },
  },
);
