#!/usr/bin/env node
/** `claude-db-proxy`: arguments and environment in, one command out. */
import { Command } from 'commander';
import { VERSION } from '../src/version.ts';

const program = new Command('claude-db-proxy')
  .description('Double buffering for Claude Code: compaction summaries are computed in the background.')
  .version(VERSION);

program
  .command('serve')
  .description('run the proxy in the foreground (settings: DBPROXY_* variables)')
  .action(async () => {
    const { serve } = await import('./serve.ts');
    await serve(process.env);
  });

program
  .command('demo')
  .alias('proxy-demo')
  .description('watch a conversation grow, be checkpointed and compact, against a simulated API')
  .option('--keep', 'leave the proxy and the simulated API running afterwards')
  .action(async (options: { readonly keep?: boolean }) => {
    const { demo } = await import('./demo.ts');
    await demo({ keep: options.keep === true });
  });

await program.parseAsync();
