import fc from 'fast-check';

// In CI the same cases every time, so that a red run is about the change; at a desk new ones each time, to find more.
if (process.env.CI) fc.configureGlobal({ seed: 20_26_11 });
