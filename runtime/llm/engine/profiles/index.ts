import type { HardwareProfile } from '../hardware-profile.ts';

/** The hardware profiles that come with the package. */
export const shippedProfiles: readonly HardwareProfile[] = [];
