import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    setupFiles: ['test/setup.ts'],
    // A shared runner can starve a test of real processes for a moment; what is broken fails twice.
    retry: process.env.CI ? 1 : 0,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // Two cores: more workers make tests that start processes flaky, not faster.
    maxWorkers: 2,
  },
});
