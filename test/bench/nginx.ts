/** nginx as the yardstick: one worker, TLS, no buffering, keep-alive to the upstream. Where it is not installed, it is left out. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Nginx {
  readonly port: number;
  readonly version: string;
  close(): Promise<void>;
}

const CONFIG = (port: number, upstream: number, directory: string): string => `
worker_processes 1;
pid ${directory}/nginx.pid;
error_log ${directory}/error.log warn;
events { worker_connections 1024; }
http {
  access_log off;
  client_body_temp_path ${directory}/body;
  proxy_temp_path ${directory}/proxy;
  fastcgi_temp_path ${directory}/fastcgi;
  uwsgi_temp_path ${directory}/uwsgi;
  scgi_temp_path ${directory}/scgi;
  client_max_body_size 64m;
  keepalive_requests 1000000;
  upstream api { server 127.0.0.1:${upstream}; keepalive 64; keepalive_requests 1000000; }
  server {
    listen 127.0.0.1:${port} ssl;
    ssl_certificate ${directory}/cert.pem;
    ssl_certificate_key ${directory}/key.pem;
    location / {
      proxy_pass https://api;
      proxy_ssl_verify off;
      proxy_ssl_session_reuse on;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_buffering off;
      proxy_request_buffering off;
    }
  }
}
`;

/** A port that nobody listens on just now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}

function version(): string | null {
  try {
    // nginx says it on stderr.
    return execFileSync('sh', ['-c', 'nginx -v 2>&1']).toString().trim();
  } catch {
    return null;
  }
}

/** Starts nginx in front of the TLS server at `upstream`; null where it is not installed. */
export async function startNginx(
  upstream: number,
  tls: { readonly cert: string; readonly key: string },
): Promise<Nginx | null> {
  const found = version();
  if (found === null) return null;
  const directory = mkdtempSync(join(tmpdir(), 'dbproxy-nginx-'));
  writeFileSync(join(directory, 'cert.pem'), tls.cert);
  writeFileSync(join(directory, 'key.pem'), tls.key);
  const port = await freePort();
  writeFileSync(join(directory, 'nginx.conf'), CONFIG(port, upstream, directory));
  const child: ChildProcess = spawn('nginx', ['-c', join(directory, 'nginx.conf'), '-g', 'daemon off;'], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  return {
    port,
    version: found,
    async close() {
      child.kill('SIGTERM');
      await once(child, 'exit');
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
