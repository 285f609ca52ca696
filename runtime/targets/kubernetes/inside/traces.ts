/** Port of OTLP over HTTP, as registered with IANA. */
export const tracesPort = 4318;
/** Most that is kept between two fetches. */
export const holdLimitBytes = 256 * 1024 * 1024;

export interface HeldTraces {
  /** Bodies as they came, in base64. */
  readonly requests: readonly { readonly contentType: string; readonly contentEncoding?: string; readonly body: string }[];
  /** Requests that no longer fitted. */
  readonly dropped: number;
}
