// Run by file-store.test.ts: `<folder> <key> <times>`; adds 1 to the number under the key that many times.
import { openFileStore } from '../../../runtime/state/file/store.ts';

async function main(): Promise<void> {
  const [folder = '', key = '', times = '0'] = process.argv.slice(2);
  const store = await openFileStore(folder, false);
  process.stdout.write('ready\n');
  for (let done = 0; done < Number(times); ) {
    const present = await store.get(key);
    const { n } = (present?.value ?? { n: 0 }) as { n: number };
    // The padding makes a torn value likely to be seen if there could be one.
    if (await store.put(key, { n: n + 1, padding: 'x'.repeat(20_000) }, present?.version ?? 0)) done += 1;
  }
  await store.close();
}

await main();
