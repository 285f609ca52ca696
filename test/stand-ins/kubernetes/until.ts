/** Asks again until the answer is yes. */
export async function until(asked: () => Promise<boolean>, limitMs = 20_000): Promise<void> {
  const end = Date.now() + limitMs;
  while (!(await asked())) {
    if (Date.now() > end) throw new Error(`still not so after ${limitMs} ms: ${asked.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
