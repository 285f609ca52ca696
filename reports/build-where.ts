import type { Profile } from '../compiler/contracts/index.ts';
import type { PricesConfig } from '../scenarios/schema.ts';
import type { WhereItGoes } from './report.ts';

/** Where a request's time, bytes, tokens and money go, per component, edge and model. */
export function whereItGoes(profile: Profile, prices: PricesConfig): WhereItGoes {
  return {
    ...(profile.graphSteps === undefined ? {} : { graphSteps: profile.graphSteps }),
    criticalPath: profile.criticalPath,
    components: Object.entries(profile.components).map(([name, component]) => ({
      name,
      visitsPerRequest: component.visitsPerRequest,
      cpuMsPerRequest: component.cpuMs.mean * component.visitsPerRequest,
      selfMsPerRequest: component.selfMs.mean * component.visitsPerRequest,
      queueMsPerRequest: component.queueMs.mean * component.visitsPerRequest,
    })),
    edges: Object.entries(profile.edges).map(([key, edge]) => {
      const [from = '', to = ''] = key.split('->');
      return {
        from,
        to,
        protocol: edge.protocol,
        callsPerRequest: edge.callsPerRequest,
        bytesPerRequest: (edge.requestBytes.mean + edge.responseBytes.mean) * edge.callsPerRequest,
        serializeMsPerRequest: edge.serializeMs.mean * edge.callsPerRequest,
        transportMsPerRequest: edge.transportMs.mean * edge.callsPerRequest,
      };
    }),
    models: Object.entries(profile.models).map(([model, load]) => {
      const price = prices.models[model];
      const perRequest = {
        in: load.tokensIn.mean * load.callsPerRequest,
        cached: load.tokensCached.mean * load.callsPerRequest,
        out: load.tokensOut.mean * load.callsPerRequest,
      };
      const usdPerRequest = price
        ? ((perRequest.in - perRequest.cached) * price.inputPerMillionUsd +
            perRequest.cached * (price.cachedPerMillionUsd ?? price.inputPerMillionUsd) +
            perRequest.out * price.outputPerMillionUsd) /
          1e6
        : 0;
      return {
        model,
        callsPerRequest: load.callsPerRequest,
        tokensInPerRequest: perRequest.in,
        tokensCachedPerRequest: perRequest.cached,
        tokensOutPerRequest: perRequest.out,
        latencyMsP50: load.latencyMs.quantiles[10] ?? load.latencyMs.mean,
        queueMsPerRequest: load.queueMs.mean * load.callsPerRequest,
        usdPer1000Requests: usdPerRequest * 1000,
        provenance: profile.provenance,
      };
    }),
  };
}
