/**
 * docs/RPC.md, made from the schemas that validate: `npm run docs` writes it, a test
 * compares. Pure.
 *
 * @module rpc/schema/markdown
 */
import { type ContentDescriptor, type JsonSchema, type OpenRpcMethod, openRpcDocument } from './openrpc.ts'

const INTRODUCTION = `# JSON-RPC, method by method

Made by \`npm run docs\` from the schemas that validate each call; \`rpc.discover\` gives the same as an OpenRPC document. How calls are sent, and what is refused before they are read, stands in [INTERFACE.md](INTERFACE.md#json-rpc), codes of errors in [ERRORS.md](ERRORS.md).

"Scope" is what a named token needs: \`read\` to look, \`subscribe\` to follow and fetch, \`publish\` to use channel keys, \`admin\` for everything. Who has \`subscribe\` or \`publish\` may look as well. The token in \`rpc.cookie\` may do everything.
`

export function rpcMarkdown(): string {
  return `${INTRODUCTION}\n${openRpcDocument().methods.map(sectionOf).join('\n')}`
}

function sectionOf({ name, summary, params, result, 'x-scope': scope }: OpenRpcMethod): string {
  return [
    `## ${name}`,
    '',
    `${summary} Scope: \`${scope}\`.`,
    '',
    ...parameterTable(params),
    `Result: ${code(typeText(result.schema))}`,
    '',
  ].join('\n')
}

function parameterTable(params: readonly ContentDescriptor[]): readonly string[] {
  if (params.length === 0) return []
  const rows = params.map(({ name, required, schema }) => {
    const otherwise =
      schema.default === undefined ? (required === true ? 'required' : '') : code(literal(schema.default))
    return `| \`${name}\` | ${code(typeText(schema))} | ${otherwise} |`
  })
  return ['| parameter | type | default |', '|---|---|---|', ...rows, '']
}

/** In code, with what would end a cell. */
function code(text: string): string {
  return `\`${text.replaceAll('|', '\\|')}\``
}

function literal(value: unknown): string {
  return JSON.stringify(value)
}

/** A JSON schema as people write types. Bounds are left to the OpenRPC document. */
function typeText(schema: JsonSchema): string {
  const { type, const: constant, anyOf, items, properties, additionalProperties } = schema
  if (schema.enum !== undefined) return (schema.enum as readonly unknown[]).map(literal).join(' | ')
  if (constant !== undefined) return literal(constant)
  if (anyOf !== undefined) return (anyOf as readonly JsonSchema[]).map(typeText).join(' | ')
  if (type === 'array') return `[${typeText(items as JsonSchema)}]`
  if (Array.isArray(type)) return type.join(' | ')
  if (type !== 'object') return type === undefined ? 'any' : String(type)
  if (properties === undefined) return `{*: ${typeText(additionalProperties as JsonSchema)}}`
  return `{${Object.entries(properties as Readonly<Record<string, JsonSchema>>)
    .map(([name, property]) => {
      const text = typeText(property)
      // What is a number or text needs no saying for each of twenty fields.
      return text === 'string' || text === 'integer' ? name : `${name}: ${text}`
    })
    .join(', ')}}`
}
