import { expect } from 'chai';
import { containerName, runArguments, type ContainerOptions } from '../../../cli/runtime/container-arguments.ts';

const OPTIONS: ContainerOptions = {
  engine: 'docker',
  image: 'localhost/claude-db-proxy:1.2.3',
  version: '1.2.3',
  dataDir: '/home/ann/.local/share/claude-db-proxy',
  ports: { proxy: 8080, dashboard: 8443 },
  network: 'bridge',
  user: { uid: 1001, gid: 1002 },
  rootless: false,
  variables: {},
};
const line = (options: Partial<ContainerOptions> = {}): string => runArguments({ ...OPTIONS, ...options }).join(' ');

describe('the arguments of a container', () => {
  it('publish on 127.0.0.1 and nowhere else', () => {
    const published = line().match(/--publish \S+/g);
    expect(published).to.deep.equal(['--publish 127.0.0.1:8080:8080', '--publish 127.0.0.1:8443:8443']);
    expect(line()).to.include('--network bridge').and.to.include('--env DBPROXY_HOST=0.0.0.0');
    expect(line({ engine: 'podman' })).to.include('--network private');
  });

  it("listen on 127.0.0.1 themselves on this machine's network", () => {
    const host = line({ network: 'host', variables: { DBPROXY_HOST: '0.0.0.0' } });
    expect(host)
      .to.include('--network host --env DBPROXY_HOST=127.0.0.1')
      .and.not.to.match(/--publish|0\.0\.0\.0/);
    expect(host).not.to.match(/--env DBPROXY_HOST( |$)/);
  });

  it('take every privilege away', () => {
    for (const engine of ['docker', 'podman'] as const) {
      expect(line({ engine })).to.include('--read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges');
    }
  });

  it('run as whoever owns the data directory', () => {
    expect(line()).to.include('--user 1001:1002').and.not.to.include('--userns');
    expect(line({ engine: 'podman' }))
      .to.include('--user 1001:1002')
      .and.not.to.include('--userns');
    expect(line({ engine: 'podman', rootless: true })).to.include('--userns keep-id --user 1001:1002');
    expect(line({ rootless: true })).to.include('--user 0:0');
  });

  it('hold no value of a variable, and mount the bundle of certificates', () => {
    const variables = { HTTPS_PROXY: 'http://u:secret@proxy:3128', NODE_EXTRA_CA_CERTS: '/etc/corp ca.pem' };
    const args = runArguments({ ...OPTIONS, variables });
    expect(args.join(' ')).to.include('--env HTTPS_PROXY ').and.not.to.include('secret');
    expect(args).to.include.members(['/etc/corp ca.pem:/app/extra-ca.pem:ro', 'NODE_EXTRA_CA_CERTS=/app/extra-ca.pem']);
    expect(args).not.to.include('NODE_EXTRA_CA_CERTS');
  });

  it('never pull, and end with the image and its command', () => {
    expect(line()).to.include('--pull never');
    expect(line()).to.match(/ localhost\/claude-db-proxy:1\.2\.3 serve --no-record$/);
  });
});

describe('the name of a container', () => {
  for (const [dataDir, name] of [
    ['/home/ann/.local/share/claude-db-proxy', 'claude-db-proxy-home-ann'],
    ['/home/ann/.local/share/claude-db-proxy/', 'claude-db-proxy-home-ann'],
    ['/srv/my data (1)', 'claude-db-proxy-srv-my-data-1'],
    ['/.local/share/claude-db-proxy', 'claude-db-proxy'],
  ] as const) {
    it(`of ${dataDir} is ${name}`, () => expect(containerName(dataDir)).to.equal(name));
  }
});
