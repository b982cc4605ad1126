/** The fake proxy as a process: `node --import tsx test/web/support/fake-proxy-process.ts [conversations] [changes a second]`. */
import { startFakeProxy } from './fake-proxy.ts';

const [conversations = '24', rate = '1'] = process.argv.slice(2);
const fake = await startFakeProxy({
  conversations: Number(conversations),
  rate: Number(rate),
  past: 180,
  failing: (number) => process.send === undefined && number === 3,
});
if (process.send === undefined) process.stdout.write(`${fake.url}\n`);
else process.send(fake.url);
process.once('disconnect', () => void fake.close());
