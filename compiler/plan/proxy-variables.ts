const loopback = ['localhost', '127.0.0.1', '::1'];

/**
 * The variables most programs and libraries read to find a proxy, in both spellings in use. `inside` are host names and
 * addresses that are called directly.
 */
export function proxyVariables(proxy: string, inside: readonly string[]): { [name: string]: string } {
  const direct = [...new Set([...loopback, ...inside])].join(',');
  const named = { HTTP_PROXY: proxy, HTTPS_PROXY: proxy, ALL_PROXY: proxy, NO_PROXY: direct };
  return Object.fromEntries(
    Object.entries(named).flatMap(([name, value]) => [
      [name, value],
      [name.toLowerCase(), value],
    ]),
  );
}
