/**
 * Incremental reader of `text/event-stream`: hands out the data of each event as it completes. Only `data` fields
 * matter here; comments, ids and event names are skipped.
 * Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
 */
export function createEventReader(onData: (data: string) => void): { push(bytes: Uint8Array): void; end(): void } {
  const decoder = new TextDecoder();
  let buffer = '';
  let data: string[] = [];
  // A line break may be split between two pieces: a leading \n after a piece that ended in \r belongs to it.
  let sawReturn = false;

  const line = (text: string) => {
    if (text === '') {
      if (data.length > 0) onData(data.join('\n'));
      data = [];
    } else if (text.startsWith('data:')) {
      data.push(text.startsWith('data: ') ? text.slice(6) : text.slice(5));
    } else if (text === 'data') {
      data.push('');
    }
  };
  const consume = (text: string) => {
    buffer += text;
    if (sawReturn && buffer !== '') {
      if (buffer.startsWith('\n')) buffer = buffer.slice(1);
      sawReturn = false;
    }
    let start = 0;
    for (let end = nextBreak(buffer, start); end !== -1; end = nextBreak(buffer, start)) {
      line(buffer.slice(start, end));
      if (buffer[end] === '\r') {
        if (end + 1 === buffer.length) sawReturn = true;
        start = buffer[end + 1] === '\n' ? end + 2 : end + 1;
      } else {
        start = end + 1;
      }
    }
    buffer = buffer.slice(start);
  };
  return {
    push: (bytes) => consume(decoder.decode(bytes, { stream: true })),
    end: () => consume(decoder.decode()),
  };
}

function nextBreak(text: string, from: number): number {
  const newline = text.indexOf('\n', from);
  const carriage = text.indexOf('\r', from);
  if (newline === -1) return carriage;
  if (carriage === -1) return newline;
  return Math.min(newline, carriage);
}
