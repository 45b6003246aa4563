// A receiver of webhooks for Node 20 or newer, without any package: checks who has sent them, and keeps each once.
//
//     WEBHOOK_SECRET=whsec_... node webhook_receiver.mjs 8090    # then POST /v1/webhooks {"url": "http://.../orders"}
//
// A webhook that was not answered with 2xx comes again, so the same one may come twice: by its `webhook-id` it is known.

import { createHmac, timingSafeEqual } from 'node:crypto';
import { closeSync, fsyncSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import { createServer } from 'node:http';

const TOLERANCE_S = 300;
const MOST_BYTES = 1024 * 1024;
const MOST_DROPPED_BYTES = 16 * MOST_BYTES; // of a body that is too long: who still sends may not get to read the answer
const key = Buffer.from(process.env.WEBHOOK_SECRET.replace(/^whsec_/, ''), 'base64');
const path = process.env.WEBHOOK_FILE ?? 'webhooks.jsonl';
const file = openSync(path, 'a');
const lines = readFileSync(path, 'utf8').split('\n');
lines[lines.length - 1] = ''; // half a line, if one was killed while it wrote: that event comes again
ftruncateSync(file, Buffer.byteLength(lines.join('\n')));
const seen = new Set(lines.slice(0, -1).map((line) => JSON.parse(line).id));

/** Whether one of the signatures is ours, and made a moment ago. */
function isGenuine(headers, body) {
  const { 'webhook-id': id, 'webhook-timestamp': at, 'webhook-signature': signatures } = headers;
  if (!id || !/^\d+$/.test(at ?? '') || !signatures) return false;
  if (Math.abs(Date.now() / 1000 - Number(at)) > TOLERANCE_S) return false;
  const own = createHmac('sha256', key).update(`${id}.${at}.`).update(body).digest();
  return signatures.split(' ').some((each) => {
    const [version, signature] = each.split(',');
    const theirs = Buffer.from(signature ?? '', 'base64');
    return version === 'v1' && theirs.length === own.length && timingSafeEqual(theirs, own);
  });
}

/** Keeps an event; when it returns, the event outlasts a crash. */
function keep(id, body) {
  if (seen.has(id)) return;
  const event = JSON.parse(body);
  writeSync(file, `${JSON.stringify({ id, event })}\n`);
  fsyncSync(file);
  seen.add(id);
  console.log(event.type, event.subject);
}

async function answer(request, response) {
  const parts = [];
  let length = 0;
  for await (const part of request) {
    length += part.length;
    if (length <= MOST_BYTES) parts.push(part);
    if (length > MOST_DROPPED_BYTES) break;
  }
  if (length > MOST_BYTES) return response.writeHead(413).end();
  const body = Buffer.concat(parts);
  if (request.method !== 'POST' || request.url !== '/orders') return response.writeHead(404).end();
  if (!isGenuine(request.headers, body)) return response.writeHead(401).end();
  keep(request.headers['webhook-id'], body);
  response.writeHead(204).end();
}

const server = createServer((request, response) => {
  answer(request, response).catch((error) => {
    if (request.complete) throw error; // no room to keep an event, for one: it is not answered, and comes again
    console.error(`hung up: ${error.message}`);
  });
});

server.listen(Number(process.argv[2] ?? 8090), '127.0.0.1', () => console.log(`listening on ${server.address().port}`));
process.on('SIGTERM', () => server.close(() => closeSync(file)));
