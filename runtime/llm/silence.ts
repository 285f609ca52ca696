/**
 * Twice what the HTML standard advises as the longest silence on an event stream before a comment is sent to keep it alive:
 * "every 15 seconds or so" (https://html.spec.whatwg.org/multipage/server-sent-events.html, authoring notes).
 */
export const stallTimeoutMs = 30_000;
