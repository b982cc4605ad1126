import { expect } from 'chai';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { parseConfig, type Config, type Environment } from '../../../src/config/config.ts';
import { SETTINGS } from '../../../src/config/settings.ts';
import { ConfigError } from '../../../src/errors.ts';

const HOME = '/home/somebody';

/** Config from these variables, in the home directory of the tests. */
const parsed = (env: Environment = {}): Config => parseConfig({ HOME, ...env });

/** The error that these variables are refused with. */
function refusal(env: Environment): ConfigError {
  try {
    parsed(env);
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error('the settings were accepted');
}

const VARIABLES = Object.values(SETTINGS).map(({ name }) => name);

describe('the configuration', () => {
  it('has the defaults that the README names', () => {
    const { upstreamUrl, ...others } = parsed();
    expect(upstreamUrl.href).to.equal('https://api.anthropic.com/');
    expect(others).to.deep.equal({
      thresholds: { checkpoint: 0.7, swap: 0.8 },
      checkpointRefresh: 0.1,
      checkpointTries: 3,
      maxCheckpoints: 4,
      logLevel: 'INFO',
      passthrough: false,
      proxyPort: 8080,
      dashboardPort: 8443,
      host: '127.0.0.1',
      allowedHosts: [],
      dataDir: join(HOME, '.local/share/claude-db-proxy'),
      outboundProxy: { https: null, http: null, bypass: [] },
      modelWindows: {},
      conversationTtl: 7_200_000,
      compactionWait: 20_000,
      runtime: 'auto',
      inspectUrl: null,
      maxConnections: 10_000,
      maxBufferedBytes: 268_435_456,
    });
  });

  for (const empty of ['', ' ', '\t\n']) {
    it(`takes ${JSON.stringify(empty)} for unset`, () => {
      expect(parsed(Object.fromEntries(VARIABLES.map((name) => [name, empty])))).to.deep.equal(parsed());
    });
  }

  it('cannot be changed', () => {
    const config = parsed({ DBPROXY_MODEL_WINDOWS: '{"m":5}' });
    for (const value of [config, config.thresholds, config.modelWindows]) expect(Object.isFrozen(value)).to.equal(true);
  });

  it('does without HOME', () => {
    expect(parseConfig({}).dataDir).to.equal(join(homedir(), '.local/share/claude-db-proxy'));
  });

  it('forwards inspection to a web socket and nowhere else', () => {
    expect(parsed({ DBPROXY_INSPECT: 'ws://localhost:9000/x' }).inspectUrl?.href).to.equal('ws://localhost:9000/x');
    expect(refusal({ DBPROXY_INSPECT: 'http://localhost' }).message).to.include('a ws or wss URL');
  });

  it('looks at nothing else', () => {
    expect(parsed({ DBPROXY_UNKNOWN: 'x', PORT: '1' })).to.deep.equal(parsed());
  });

  const good: readonly (readonly [variable: string, value: string, field: keyof Config, expected: unknown])[] = [
    ['DBPROXY_CHECKPOINT_THRESHOLD', '0.5', 'thresholds', { checkpoint: 0.5, swap: 0.8 }],
    ['DBPROXY_CHECKPOINT_THRESHOLD', '.001', 'thresholds', { checkpoint: 0.001, swap: 0.8 }],
    ['DBPROXY_SWAP_THRESHOLD', '0.999', 'thresholds', { checkpoint: 0.7, swap: 0.999 }],
    ['DBPROXY_SWAP_THRESHOLD', ' 0.71 ', 'thresholds', { checkpoint: 0.7, swap: 0.71 }],
    ['DBPROXY_MAX_CHECKPOINTS', '16', 'maxCheckpoints', 16],
    ['DBPROXY_CHECKPOINT_TRIES', '1', 'checkpointTries', 1],
    ['DBPROXY_CHECKPOINT_TRIES', '1000', 'checkpointTries', 1_000],
    ['DBPROXY_CHECKPOINT_REFRESH', '0.05', 'checkpointRefresh', 0.05],
    ['DBPROXY_LOG_LEVEL', 'DEBUG', 'logLevel', 'DEBUG'],
    ['DBPROXY_LOG_LEVEL', 'warning', 'logLevel', 'WARNING'],
    ['DBPROXY_LOG_LEVEL', 'Error', 'logLevel', 'ERROR'],
    ['DBPROXY_PASSTHROUGH', 'true', 'passthrough', true],
    ['DBPROXY_PASSTHROUGH', 'TRUE', 'passthrough', true],
    ['DBPROXY_PASSTHROUGH', '1', 'passthrough', true],
    ['DBPROXY_PASSTHROUGH', 'on', 'passthrough', true],
    ['DBPROXY_PASSTHROUGH', 'False', 'passthrough', false],
    ['DBPROXY_PASSTHROUGH', '0', 'passthrough', false],
    ['DBPROXY_PASSTHROUGH', 'no', 'passthrough', false],
    ['DBPROXY_PROXY_PORT', '0', 'proxyPort', 0],
    ['DBPROXY_PROXY_PORT', '65535', 'proxyPort', 65_535],
    ['DBPROXY_DASHBOARD_PORT', '9443', 'dashboardPort', 9_443],
    ['DBPROXY_HOST', '0.0.0.0', 'host', '0.0.0.0'],
    ['DBPROXY_HOST', '::1', 'host', '::1'],
    ['DBPROXY_HOST', 'my-host.local', 'host', 'my-host.local'],
    [
      'DBPROXY_ALLOWED_HOSTS',
      'box.example, 192.0.2.2,[fd00::2],::2',
      'allowedHosts',
      ['box.example', '192.0.2.2', '[fd00::2]', '::2'],
    ],
    ['DBPROXY_DATA_DIR', '/var/lib/x', 'dataDir', '/var/lib/x'],
    ['DBPROXY_DATA_DIR', '~', 'dataDir', HOME],
    ['DBPROXY_DATA_DIR', '~/x y', 'dataDir', `${HOME}/x y`],
    ['DBPROXY_DATA_DIR', 'x', 'dataDir', join(process.cwd(), 'x')],
    ['DBPROXY_DATA_DIR', '~x', 'dataDir', join(process.cwd(), '~x')],
    ['DBPROXY_MODEL_WINDOWS', '{"claude-x":200000,"y":1}', 'modelWindows', { 'claude-x': 200_000, y: 1 }],
    ['DBPROXY_MODEL_WINDOWS', '{}', 'modelWindows', {}],
    ['DBPROXY_CONVERSATION_TTL', '7200', 'conversationTtl', 7_200_000],
    ['DBPROXY_CONVERSATION_TTL', '90m', 'conversationTtl', 5_400_000],
    ['DBPROXY_CONVERSATION_TTL', '2 h', 'conversationTtl', 7_200_000],
    ['DBPROXY_CONVERSATION_TTL', '1.5H', 'conversationTtl', 5_400_000],
    ['DBPROXY_CONVERSATION_TTL', '24d', 'conversationTtl', 2_073_600_000],
    ['DBPROXY_MAX_CONNECTIONS', '1', 'maxConnections', 1],
    ['DBPROXY_MAX_BUFFERED_BYTES', '0', 'maxBufferedBytes', 0],
    ['DBPROXY_MAX_BUFFERED_BYTES', '1000', 'maxBufferedBytes', 1_000],
    ['DBPROXY_MAX_BUFFERED_BYTES', '64k', 'maxBufferedBytes', 65_536],
    ['DBPROXY_MAX_BUFFERED_BYTES', '1 GiB', 'maxBufferedBytes', 1_073_741_824],
    ['DBPROXY_COMPACTION_WAIT', '500ms', 'compactionWait', 500],
    ['DBPROXY_COMPACTION_WAIT', '.5', 'compactionWait', 500],
    ['DBPROXY_COMPACTION_WAIT', '30s', 'compactionWait', 30_000],
    ['DBPROXY_RUNTIME', 'Podman', 'runtime', 'podman'],
  ];
  for (const [variable, value, field, expected] of good) {
    it(`accepts ${variable}=${value}`, () => {
      expect(parsed({ [variable]: value })).to.deep.equal({ ...parsed(), [field]: expected });
    });
  }

  for (const [value, href] of [
    ['http://127.0.0.1:9000', 'http://127.0.0.1:9000/'],
    ['https://gateway.example/anthropic/', 'https://gateway.example/anthropic/'],
    [' https://api.anthropic.com ', 'https://api.anthropic.com/'],
  ] as const) {
    it(`accepts DBPROXY_UPSTREAM_URL=${value}`, () => {
      expect(parsed({ DBPROXY_UPSTREAM_URL: value }).upstreamUrl.href).to.equal(href);
    });
  }

  const bad: readonly (readonly [variable: string, values: readonly string[], allowed: RegExp])[] = [
    [
      'DBPROXY_CHECKPOINT_THRESHOLD',
      ['abc', '0', '1', '1.5', '-0.5', '70%', '0,7', '1e-1', 'NaN', 'Infinity', '0x1'],
      /between 0 and 1/,
    ],
    ['DBPROXY_SWAP_THRESHOLD', ['abc', '0', '1', '2', '.'], /between 0 and 1/],
    ['DBPROXY_CHECKPOINT_REFRESH', ['0', '1', '10%'], /between 0 and 1/],
    ['DBPROXY_MAX_CHECKPOINTS', ['0', 'none'], /whole number from 1 to 1000/],
    ['DBPROXY_CHECKPOINT_TRIES', ['0', '-1', '1.5', '1001', 'many'], /whole number from 1 to 1000/],
    ['DBPROXY_LOG_LEVEL', ['LOUD', '1', 'constructor', '__proto__'], /DEBUG, INFO, WARNING or ERROR/],
    ['DBPROXY_PASSTHROUGH', ['maybe', '2', 'constructor', '__proto__', 'toString', 'valueof'], /true or false/],
    ['DBPROXY_PROXY_PORT', ['abc', '65536', '-1', '80.5', '8080x', '100000', '0x50'], /0 to 65535/],
    ['DBPROXY_DASHBOARD_PORT', ['abc', '99999'], /0 to 65535/],
    ['DBPROXY_ALLOWED_HOSTS', ['*', '*.x', 'a,', 'a b', 'a:80', 'https://a', '[::1]:80', 'a/b'], /separated by commas/],
    ['DBPROXY_MAX_CONNECTIONS', ['0', '-1', '1.5', 'many', '1e4', '9999999999'], /number of connections/],
    ['DBPROXY_MAX_BUFFERED_BYTES', ['-1', '1.5M', 'M', '1T', '999999999999999G'], /number of bytes/],
    ['DBPROXY_HOST', ['a b', 'http://x', 'x/y', '[::1]'], /address or host name/],
    [
      'DBPROXY_UPSTREAM_URL',
      ['api.anthropic.com', 'ftp://x', 'https://x?y=1', 'https://x#y', 'file:///x', 'https://'],
      /http or https URL/,
    ],
    [
      'DBPROXY_MODEL_WINDOWS',
      [
        'x',
        '[]',
        '"x"',
        '5',
        'null',
        '{"m":"5"}',
        '{"m":0}',
        '{"m":-5}',
        '{"m":1.5}',
        '{"":5}',
        '{"m":null}',
        '{"m":5',
      ],
      /JSON object of model names and tokens/,
    ],
    ['DBPROXY_CONVERSATION_TTL', ['abc', '0', '-5', '0.0001ms', '25d', '5y', '1h30m', 'h'], /time such as/],
    ['DBPROXY_COMPACTION_WAIT', ['abc', '0', '0s', '1w'], /time such as/],
    ['DBPROXY_RUNTIME', ['kubernetes', 'toString'], /auto, docker, podman or node/],
    ['DBPROXY_INSPECT', ['http://localhost', 'localhost:9000'], /a ws or wss URL/],
  ];
  for (const [variable, values, allowed] of bad) {
    for (const value of values) {
      it(`refuses ${variable}=${value}, and says what is allowed`, () => {
        const error = refusal({ [variable]: value });
        expect(error.variable).to.equal(variable);
        expect(error.code).to.equal('DBPROXY_ERR_CONFIG');
        expect(error.message.startsWith(`${variable}=${value} cannot be used: `)).to.equal(true);
        expect(error.message).to.match(allowed);
        expect(error.message).not.to.include('\n');
      });
    }
  }

  it('has a case that is refused for each setting but directories, where every text is one', () => {
    const refused = new Set([...bad.map(([variable]) => variable), 'DBPROXY_DATA_DIR']);
    expect(VARIABLES.filter((name) => !refused.has(name))).to.deep.equal([]);
  });

  for (const value of [
    'https://user@x',
    'https://user:SECRET@x',
    'https://user:SE@SECRET@x/y',
    'https://user:SECRET@x?y',
  ]) {
    it(`refuses DBPROXY_UPSTREAM_URL=${value}, and does not repeat who it is for`, () => {
      const error = refusal({ DBPROXY_UPSTREAM_URL: value });
      expect(error.message).to.match(/^DBPROXY_UPSTREAM_URL=https:.* cannot be used: .*http or https URL/);
      expect(error.message).not.to.match(/SECRET|user@|user:/);
    });
  }

  it('takes the usual variables for a proxy on the way out', () => {
    const { outboundProxy } = parsed({
      HTTPS_PROXY: 'http://user:SECRET@proxy.example:3128',
      http_proxy: 'other:80',
      NO_PROXY: 'a, b',
    });
    expect(outboundProxy.https).to.include({ host: 'proxy.example', port: 3_128, secure: false });
    expect(outboundProxy.http).to.include({ host: 'other', port: 80 });
    expect(outboundProxy.bypass).to.have.length(2);
    expect(JSON.stringify(outboundProxy)).not.to.include('SECRET');
  });

  it('refuses such a variable by its name, and does not repeat its value', () => {
    const error = refusal({ https_proxy: 'ftp://user:SECRET@x' });
    expect(error.variable).to.equal('https_proxy');
    expect(error.message)
      .to.match(/^https_proxy=.* cannot be used: .*http/)
      .and.not.include('SECRET');
  });

  describe('refuses thresholds in the wrong order', () => {
    for (const [env, message] of [
      [
        { DBPROXY_SWAP_THRESHOLD: '0.6' },
        /^DBPROXY_SWAP_THRESHOLD=0\.6 cannot be used: must be above DBPROXY_CHECKPOINT_THRESHOLD \(0\.7\)/,
      ],
      [{ DBPROXY_SWAP_THRESHOLD: '0.7' }, /^DBPROXY_SWAP_THRESHOLD=0\.7 /],
      [
        { DBPROXY_CHECKPOINT_THRESHOLD: '0.8' },
        /^DBPROXY_CHECKPOINT_THRESHOLD=0\.8 cannot be used: must be below DBPROXY_SWAP_THRESHOLD \(0\.8\)/,
      ],
      [
        { DBPROXY_CHECKPOINT_THRESHOLD: '0.9', DBPROXY_SWAP_THRESHOLD: '0.85' },
        /^DBPROXY_CHECKPOINT_THRESHOLD=0\.9 .*\(0\.85\)/,
      ],
      [{ DBPROXY_CHECKPOINT_THRESHOLD: ' ', DBPROXY_SWAP_THRESHOLD: '0.5' }, /^DBPROXY_SWAP_THRESHOLD=0\.5 /],
    ] as const) {
      it(JSON.stringify(env), () => expect(refusal(env).message).to.match(message));
    }
  });

  it('refuses one port for both, but not two free ones', () => {
    expect(refusal({ DBPROXY_PROXY_PORT: '9000', DBPROXY_DASHBOARD_PORT: '9000' }).message).to.match(
      /^DBPROXY_DASHBOARD_PORT=9000 cannot be used: .*DBPROXY_PROXY_PORT/,
    );
    expect(refusal({ DBPROXY_PROXY_PORT: '8443' }).message).to.match(/DASHBOARD_PORT=8443/);
    expect(parsed({ DBPROXY_PROXY_PORT: '0', DBPROXY_DASHBOARD_PORT: '0' }).proxyPort).to.equal(0);
  });
});
