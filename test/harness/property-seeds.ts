import fc from 'fast-check';

/**
 * Property tests take other values at every run, so that time finds what a change did not. CI judges a change, and a change
 * must not fail for what was there before: it always takes the same values. A failing run prints its seed.
 */
if (process.env['CI'] !== undefined && process.env['CI'] !== '') fc.configureGlobal({ seed: 20_240_229 });
