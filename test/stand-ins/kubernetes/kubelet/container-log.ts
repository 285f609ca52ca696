/** What a container printed, line by line with the moment of each. */
export class ContainerLog {
  private readonly lines: { readonly at: string; readonly text: string }[] = [];
  private partial = '';
  private readonly listeners = new Set<() => void>();
  private over = false;

  write(text: string): void {
    const parts = (this.partial + text).split('\n');
    this.partial = parts.pop() ?? '';
    for (const part of parts) this.lines.push({ at: new Date().toISOString(), text: part });
    if (this.lines.length > 100_000) this.lines.splice(0, this.lines.length - 100_000);
    this.tell();
  }

  end(): void {
    if (this.partial !== '') this.write('\n');
    this.over = true;
    this.tell();
  }

  get ended(): boolean {
    return this.over;
  }

  get length(): number {
    return this.lines.length;
  }

  /** Lines from one on, as a client wants them. */
  read(from: number, { timestamps, sinceMs }: { readonly timestamps: boolean; readonly sinceMs: number | null }): string {
    return this.lines
      .slice(from)
      .filter(({ at }) => sinceMs === null || Date.parse(at) >= sinceMs)
      .map(({ at, text }) => `${timestamps ? `${at} ` : ''}${text}\n`)
      .join('');
  }

  onChange(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  private tell(): void {
    for (const listener of [...this.listeners]) listener();
  }
}
