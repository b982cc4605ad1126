/** `GET /api/openapi.json`: the HTTP API, described in OpenAPI 3.1 for those who make clients of it. */
import * as z from 'zod';
import { VERSION } from '../version.ts';
import { SCHEMAS } from './schemas.ts';

type SchemaName = keyof typeof SCHEMAS;

const answer = (description: string, schema: SchemaName) => ({
  description,
  content: { 'application/json': { schema: { $ref: `#/components/schemas/${schema}` } } },
});

const REFUSED = {
  401: answer('The token is missing or wrong.', 'Error'),
  403: answer('The host or the origin is not ours.', 'Error'),
  421: answer('The host is served by nobody here.', 'Error'),
};
const MISSING = { 404: answer('There is no such conversation.', 'Error') };
const ID = {
  name: 'id',
  in: 'path',
  required: true,
  description: 'As `x-double-buffer-conv-id` shows it.',
  schema: { type: 'string' },
};

const query = (name: string, description: string) => ({ name, in: 'query', description, schema: { type: 'string' } });

/** Without the mark that JSON Schema puts on a document of its own. */
function schemaOf(name: SchemaName): object {
  return Object.fromEntries(Object.entries(z.toJSONSchema(SCHEMAS[name])).filter(([key]) => key !== '$schema'));
}

/** The document. Made when it is asked for. */
export function openApiDocument(): object {
  return {
    openapi: '3.1.0',
    info: {
      title: 'claude-db-proxy',
      version: VERSION,
      description:
        'The proxy on this machine: its health, its conversations, its figures. Everything but `/health` asks for the ' +
        'token in the file `token` of the data directory.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: 'https://localhost:8443' }],
    security: [{ token: [] }],
    paths: {
      '/health': {
        get: {
          summary: 'How the proxy is.',
          security: [],
          responses: { 200: answer('It runs.', 'Health'), 403: REFUSED[403], 421: REFUSED[421] },
        },
      },
      '/metrics': {
        get: {
          summary: 'Figures in the text format of Prometheus. No content, no names.',
          responses: {
            200: { description: 'The figures.', content: { 'text/plain': { schema: { type: 'string' } } } },
            ...REFUSED,
          },
        },
      },
      '/api/conversations': {
        get: {
          summary: 'All conversations, most recently active first.',
          responses: { 200: answer('The conversations.', 'Conversations'), ...REFUSED },
        },
      },
      '/api/conversations/{id}': {
        parameters: [ID],
        get: {
          summary: 'One conversation, with the summary of its checkpoint.',
          responses: { 200: answer('The conversation.', 'ConversationDetail'), ...REFUSED, ...MISSING },
        },
      },
      '/api/conversations/{id}/reset': {
        parameters: [ID],
        post: {
          summary: 'Drops its checkpoint, ends a running call, forgets tries and failure. Usage stays known.',
          responses: { 200: answer('The conversation afterwards.', 'Reset'), ...REFUSED, ...MISSING },
        },
      },
      '/api/history': {
        get: {
          summary: 'Compactions and checkpoints of the last 90 days, newest first, and what they add up to.',
          parameters: [
            query('since', 'From this time on: milliseconds since the Unix epoch, or an ISO date.'),
            query('until', 'Up to this time.'),
            query('conversation', 'Of this conversation only.'),
            query('limit', 'At most so many entries of each kind, 100 when left out, 1,000 at most.'),
          ],
          responses: {
            200: answer('The history.', 'History'),
            400: answer('The query cannot be read.', 'Error'),
            ...REFUSED,
          },
        },
      },
      '/api/openapi.json': {
        get: {
          summary: 'This document.',
          responses: {
            200: { description: 'It.', content: { 'application/json': { schema: { type: 'object' } } } },
            ...REFUSED,
          },
        },
      },
    },
    components: {
      schemas: Object.fromEntries((Object.keys(SCHEMAS) as SchemaName[]).map((name) => [name, schemaOf(name)])),
      securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
    },
  };
}
