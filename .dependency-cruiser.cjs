/** The one direction in which imports run: machines <- src <- cli; within src, wire is pure. */
module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'machines-know-no-io',
      comment: 'The statecharts import xstate and themselves only.',
      severity: 'error',
      from: { path: '^machines/' },
      to: { pathNot: ['^machines/', 'node_modules/xstate/'] },
    },
    {
      name: 'wire-is-pure',
      comment:
        'What the wire means is decided without sockets, files, clocks: node:crypto for hashes is all it may use.',
      severity: 'error',
      from: { path: '^src/wire/' },
      to: { pathNot: ['^src/wire/', '^machines/', '^crypto$', '^node:crypto$', 'node_modules/zod/'] },
    },
    {
      name: 'src-knows-no-cli',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: ['^cli/', '^test/'] },
    },
    {
      name: 'product-knows-no-simulation',
      comment: 'The simulated API serves the demo and the tests; the data path never sees it.',
      severity: 'error',
      from: { path: '^src/', pathNot: ['^src/simulated-api/', '^src/demo/'] },
      to: { path: ['^src/simulated-api/', '^src/demo/'] },
    },
    {
      name: 'pages-know-the-contract-only',
      comment: 'What the pages know of the proxy stands in web/contract.ts, and that knows nothing.',
      severity: 'error',
      from: { path: '^web/' },
      to: { path: ['^machines/', '^src/', '^cli/'] },
    },
    { name: 'product-knows-no-tests', severity: 'error', from: { pathNot: '^test/' }, to: { path: '^test/' } },
    {
      name: 'no-dev-dependencies-in-product',
      severity: 'error',
      from: { path: '^(machines|src|cli)/' },
      to: { dependencyTypes: ['npm-dev'], pathNot: ['node_modules/@types/'] },
    },
    { name: 'not-resolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'types', 'node', 'default'] },
  },
};
