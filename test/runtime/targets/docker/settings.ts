/** Settings of the target in its own tests: the defaults, but for a short drain. */
export const testSettings = { drainMs: 1_000, queueLimit: 10, image: '', subnets: '10.213.0.0/16', keepImages: 16 } as const;
