import type { HardwareProfile } from '../hardware-profile.ts';
import { estimates } from './estimates.ts';
import { rtx4090Llama318b } from './rtx4090-llama-3.1-8b.ts';
import { rtxpro6000Qwen332b } from './rtxpro6000-qwen3-32b.ts';

/** The hardware profiles that come with the package: measured ones first, so that they are found before an estimate. */
export const shippedProfiles: readonly HardwareProfile[] = [rtx4090Llama318b, rtxpro6000Qwen332b, ...estimates];
