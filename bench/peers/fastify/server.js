// Node: fastify and ioredis with auto-pipelining. RACE_REDIS_URL=... RACE_SCRIPT=bench/peers/reserve.lua node server.js PORT
'use strict'

const { randomBytes } = require('node:crypto')
const { readFileSync } = require('node:fs')
const fastify = require('fastify')
const Redis = require('ioredis')

const redis = new Redis(process.env.RACE_REDIS_URL, { enableAutoPipelining: true })
redis.defineCommand('takeUnits', { numberOfKeys: 2, lua: readFileSync(process.env.RACE_SCRIPT, 'utf8') })

const line = {
  type: 'object',
  required: ['sku', 'quantity'],
  properties: { sku: { type: 'string' }, quantity: { type: 'integer', minimum: 1 } }
}
const items = { type: 'array', minItems: 1, maxItems: 1, items: line }
const schema = {
  body: { type: 'object', required: ['items'], properties: { items } },
  response: {
    201: {
      type: 'object',
      properties: { id: { type: 'string' }, sale: { type: 'string' }, status: { type: 'string' }, items }
    },
    409: {
      type: 'object',
      properties: {
        type: { type: 'string' }, title: { type: 'string' }, status: { type: 'integer' }, code: { type: 'string' }
      }
    }
  }
}
const soldOut = { type: 'about:blank', title: 'Sold out', status: 409, code: 'sold_out' }

const app = fastify({ logger: false })
app.post('/v1/sales/:sale/reservations', { schema }, async (request, reply) => {
  const sale = request.params.sale
  const { sku, quantity } = request.body.items[0]
  const id = randomBytes(8).toString('hex')
  const reserved = await redis.takeUnits(`peer:{${sale}}:stock:${sku}`, `peer:{${sale}}:reservations`, id, quantity)
  if (!reserved) {
    reply.code(409).type('application/problem+json')
    return soldOut
  }
  reply.code(201)
  return { id, sale, status: 'held', items: request.body.items }
})

app.listen({ host: '127.0.0.1', port: Number(process.argv[2]) })
process.on('SIGTERM', () => process.exit(0))
