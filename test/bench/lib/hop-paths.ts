/** The method of the bare gRPC arm. */
export const bareGrpcPath = '/bench.Echo/Call';
