/**
 * Mean wait in a G/G/c queue: Sakasegawa (1977), "An approximation formula L_q ≈ α·ρ^β/(1−ρ)"; for c = 1 the
 * Allen-Cunneen form of Kingman's formula. Exact for M/M/1 and M/D/1.
 *
 * @param rho utilization per server, below 1
 * @param serviceMs mean service time
 * @param variability (ca² + cs²) / 2, with the squared coefficients of variation of gaps and service times
 */
export function waitMs(rho: number, servers: number, serviceMs: number, variability: number): number {
  if (rho <= 0 || serviceMs <= 0) return 0;
  if (rho >= 1) return Number.POSITIVE_INFINITY;
  return (variability * serviceMs * rho ** (Math.sqrt(2 * (servers + 1)) - 1)) / (servers * (1 - rho));
}

/** Fewest servers that carry a load of so many busy servers with utilization below 1. */
export const serversFor = (load: number): number => Math.max(1, Math.floor(load) + 1);
